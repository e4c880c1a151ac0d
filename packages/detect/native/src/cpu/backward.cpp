// Backward pass on the processor.
//
// With G the gradient of the output, per tile of positions and tap:
//   column gradient   D[p, c] = Σ_o G[p, o] · weight[o, c, tap]                   (a product, never stored whole)
//   input gradient    X'[corner, c] += w_corner · D[p, c]                         (four rows of contiguous channels)
//   offset and mask   from Σ_c D[p, c] · X[corner, c]                             (see sampling.h)
//   weight gradient   W'[o, c, tap] += Σ_p G[p, o] · column[p, c]                 (column sampled again in the same pass)
//
// Threads must not write the same input pixel, and any pixel may be hit from anywhere. So work is divided by *input
// channels*: a task owns some channels of X' and W' and walks all positions; nothing is shared, nothing is reduced, and
// its part of the weights (a slice for all taps) stays in the second-level cache. Only the offset and mask gradients
// are sums over all channels: each task keeps its own, added up in task order at the end. Where there are more threads
// than channel slices, positions are divided as well, into spans with private X' and W' that are added up in order.
// The result is therefore the same on every run with the same number of threads.
#include <ATen/ATen.h>

#include "../ops.h"
#include "parallel.h"
#include "tiles.h"

namespace sepc {
namespace cpu {
namespace {

constexpr int64_t kTile = 196;        // positions of a tile
constexpr int64_t kSlicePanels = 2;   // panels of input channels that a slice spans

template <class T>
struct Inputs {
  const T *x, *grad;  // rows [N·H·W, C] and [N·Ho·Wo, O]
  const T *weight, *offset, *mask;
};

/** Where gradients go; null where one is not asked for. Sizes are per copy; see Backward for the number of copies. */
template <class T>
struct Outputs {
  T* x;       // [spans][N·H·W, C]
  T* weight;  // [spans][slices in order][tap][panel][Og][NR]
  T* offset;  // [owners][N, 2·G·taps, Ho, Wo]
  T* mask;    // [owners][N, G·taps, Ho, Wo]
};

/** Division of the work: owners x spans tasks. */
template <class T>
class Backward {
 public:
  Backward(const Geometry& geometry) : g_(geometry) {
    const int64_t threads = std::max<int64_t>(1, at::get_num_threads());
    tiles_per_image_ = ceil_div(g_.positions(), kTile);
    capacity_ = round_up(ceil_div(g_.positions(), tiles_per_image_), k_.rows);
    tiles_per_image_ = ceil_div(g_.positions(), capacity_);
    const int64_t tiles = g_.images * tiles_per_image_, slices = int64_t(slices_.size());
    owners_ = std::min(threads, slices);
    spans_ = std::min(ceil_div(threads, owners_), tiles);
    int64_t at = 0;
    for (const Chunk& slice : slices_) {
      weight_at_.push_back(at);
      at += g_.taps() * tap_stride(slice);
    }
    weight_values_ = at;
  }

  int64_t owners() const { return owners_; }
  int64_t spans() const { return spans_; }
  int64_t weight_values() const { return weight_values_; }

  void run(const Inputs<T>& in, const Outputs<T>& out) {
    in_ = in;
    out_ = out;
    const bool columns_needed = out.x != nullptr || out.offset != nullptr || out.mask != nullptr;
    Scratch weights(Scratch::size<T>(columns_needed ? weight_values_ : 0));
    if (columns_needed) {
      packed_ = weights.take<T>(weight_values_);
      pack();
    }
    const int64_t tasks = owners_ * spans_, workers = worker_count(tasks);
    std::vector<Scratch> scratch;
    std::vector<Memory> memory;
    for (int64_t slot = 0; slot < workers; ++slot) scratch.emplace_back(scratch_bytes());
    for (Scratch& piece : scratch) memory.push_back(carve(piece));
    run_tasks(tasks, workers, [&](int64_t task, int64_t slot) { run_task(memory[slot], task / spans_, task % spans_); });
  }

  /** The weight gradient [O, Cg, taps] from its slices. */
  void unpack(const T* parts, T* weight) const {
    each_weight_row([&](const Chunk& slice, int64_t at, int64_t weight_at, int64_t count) {
      k_.transpose(parts + at, tap_stride(slice), weight + weight_at, g_.taps(), g_.taps(), count);
    });
  }

 private:
  struct Memory {
    TilePlans<T> plans;
    T *grad_rows, *grad_columns, *columns, *zeros, *trash;
  };

  int64_t panels(int64_t channels) const { return ceil_div(channels, nr_); }

  int64_t tap_stride(const Chunk& slice) const { return panels(slice.count) * g_.group_out() * nr_; }

  /**
   * Calls work(slice, at, weight_at, count) for each output channel and panel of each slice: `count` values per tap at
   * `at` of the form [slice][tap][panel][Og][NR], and [count, taps] of them at `weight_at` of [O, Cg, taps].
   */
  template <class Work>
  void each_weight_row(const Work& work) const {
    const int64_t og = g_.group_out(), slices = int64_t(slices_.size());
    run_tasks(slices, worker_count(slices), [&](int64_t s, int64_t) {
      const Chunk& slice = slices_[s];
      for (int64_t o = 0; o < og; ++o) {
        const int64_t row = (slice.group * og + o) * g_.group_in() + slice.first % g_.group_in();
        for (int64_t j = 0; j < panels(slice.count); ++j) {
          work(slice, weight_at_[s] + (j * og + o) * nr_, (row + j * nr_) * g_.taps(), std::min(nr_, slice.count - j * nr_));
        }
      }
    });
  }

  /** weight [O, Cg, taps] -> [slice][tap][panel][Og][NR], zero beyond the slice's channels. */
  void pack() {
    each_weight_row([&](const Chunk& slice, int64_t at, int64_t weight_at, int64_t count) {
      const int64_t stride = tap_stride(slice);
      k_.transpose(in_.weight + weight_at, g_.taps(), packed_ + at, stride, count, g_.taps());
      if (count == nr_) return;
      for (int64_t tap = 0; tap < g_.taps(); ++tap) {
        T* row = packed_ + at + tap * stride;
        std::fill(row + count, row + nr_, T(0));
      }
    });
  }

  int64_t tile_values(int64_t channels) const { return panels(channels) * capacity_ * nr_; }
  int64_t widest_slice() const {
    int64_t most = 0;
    for (const Chunk& slice : slices_) most = std::max(most, slice.count);
    return most;
  }
  int64_t scratch_bytes() const {
    return TilePlans<T>::bytes(g_, capacity_) + Scratch::size<T>(tile_values(g_.group_out())) +
           2 * Scratch::size<T>(tile_values(widest_slice())) + 2 * Scratch::size<T>(g_.channels);
  }
  Memory carve(Scratch& scratch) const {
    Memory m{TilePlans<T>(g_, capacity_, scratch), nullptr, nullptr, nullptr, nullptr, nullptr};
    m.grad_rows = scratch.take<T>(tile_values(g_.group_out()));
    m.grad_columns = scratch.take<T>(tile_values(widest_slice()));
    m.columns = scratch.take<T>(tile_values(widest_slice()));
    m.zeros = scratch.take<T>(g_.channels);
    m.trash = scratch.take<T>(g_.channels);
    std::fill(m.columns, m.columns + tile_values(widest_slice()), T(0));  // lanes past the last channel stay finite
    std::fill(m.zeros, m.zeros + g_.channels, T(0));
    std::fill(m.trash, m.trash + g_.channels, T(0));
    return m;
  }

  /** Bounds of part `i` when `total` is cut into `parts`. */
  static int64_t cut(int64_t total, int64_t parts, int64_t i) { return total * i / parts; }

  void run_task(Memory& m, int64_t owner, int64_t span) const {
    const int64_t slices = int64_t(slices_.size()), tiles = g_.images * tiles_per_image_;
    const int64_t first = cut(slices, owners_, owner), last = cut(slices, owners_, owner + 1);
    for (int64_t t = cut(tiles, spans_, span); t < cut(tiles, spans_, span + 1); ++t) {
      const int64_t start = t % tiles_per_image_ * capacity_;
      const PositionTile tile{t / tiles_per_image_, start, std::min(capacity_, g_.positions() - start)};
      m.plans.move_to(tile);
      int64_t group = -1;
      for (int64_t s = first; s < last; ++s) {
        if (packed_ != nullptr && slices_[s].group != group) load_grad(m, tile, slices_[s].group);
        group = slices_[s].group;
        m.plans.prepare(k_, in_.offset, in_.mask, slices_[s].offset_group);
        for (int64_t tap = 0; tap < g_.taps(); ++tap) run_tap(m, tile, s, tap, owner, span);
      }
    }
  }

  /** Rows of the output gradient for one group, in panels. */
  void load_grad(Memory& m, const PositionTile& tile, int64_t group) const {
    const int64_t og = g_.group_out();
    const T* from = in_.grad + (tile.image * g_.positions() + tile.first) * g_.out_channels + group * og;
    for (int64_t j = 0; j < panels(og); ++j) {
      T* to = m.grad_rows + j * capacity_ * nr_;
      const int64_t count = std::min(nr_, og - j * nr_);
      for (int64_t p = 0; p < tile.count; ++p) {
        std::copy_n(from + p * g_.out_channels + j * nr_, count, to + p * nr_);
      }
    }
  }

  void run_tap(Memory& m, const PositionTile& tile, int64_t s, int64_t tap, int64_t owner, int64_t span) const {
    const Chunk& slice = slices_[s];
    const int64_t tap_at = weight_at_[s] + tap * tap_stride(slice);
    if (packed_ != nullptr) {
      PanelProduct<T> product;
      product.rows = tile.count;
      product.a = m.grad_rows;
      product.a_panel_stride = capacity_ * nr_;
      product.taps = 1;
      product.depth = g_.group_out();
      product.b = packed_ + tap_at;
      product.b_stride = g_.group_out() * nr_;
      product.c = m.grad_columns;
      product.c_stride = capacity_ * nr_;
      product.out_panels = panels(slice.count);
      product.accumulate = false;
      k_.multiply(product);
    }
    k_.scatter(scatter_args(m, tile, slice, tap, owner, span));
    if (out_.weight == nullptr) return;
    OuterProduct<T> product;
    product.rows = g_.group_out();
    product.depth = tile.count;
    product.a = in_.grad + (tile.image * g_.positions() + tile.first) * g_.out_channels + slice.group * g_.group_out();
    product.a_stride = g_.out_channels;
    product.b = m.columns;
    product.b_stride = capacity_ * nr_;
    product.c = out_.weight + span * weight_values_ + tap_at;
    product.c_stride = g_.group_out() * nr_;
    product.out_panels = panels(slice.count);
    k_.outer(product);
  }

  ScatterArgs<T> scatter_args(Memory& m, const PositionTile& tile, const Chunk& slice, int64_t tap, int64_t owner,
                              int64_t span) const {
    const int64_t image_at = tile.image * g_.pixels() * g_.channels + slice.first;
    ScatterArgs<T> args;
    args.sample.plan = m.plans.plan(tap, in_.mask != nullptr);
    args.sample.positions = tile.count;
    args.sample.x = in_.x + image_at;
    args.sample.pixel_stride = g_.channels;
    args.sample.channels = slice.count;
    args.sample.zeros = m.zeros;
    args.sample.columns = out_.weight != nullptr ? m.columns : nullptr;
    args.sample.panel_stride = capacity_ * nr_;
    args.grad_columns = m.grad_columns;
    args.grad_x = out_.x != nullptr ? out_.x + span * g_.images * g_.pixels() * g_.channels + image_at : nullptr;
    args.trash = m.trash;
    const int64_t samples = g_.offset_groups * g_.taps(), q = g_.positions();
    const int64_t sample = (owner * g_.images + tile.image) * samples + slice.offset_group * g_.taps() + tap;
    args.grad_offset_y = out_.offset != nullptr ? out_.offset + 2 * sample * q + tile.first : nullptr;
    args.grad_offset_x = out_.offset != nullptr ? args.grad_offset_y + q : nullptr;
    args.grad_mask = out_.mask != nullptr ? out_.mask + sample * q + tile.first : nullptr;
    return args;
  }

  const Geometry& g_;
  const Kernels<T>& k_ = kernels<T>();
  const int64_t nr_ = k_.panel;
  const std::vector<Chunk> slices_ = cut_channels(g_, nr_, kSlicePanels * nr_);
  std::vector<int64_t> weight_at_;  // of each slice in the packed weights and their gradient
  int64_t weight_values_ = 0;
  int64_t capacity_ = 0, tiles_per_image_ = 0, owners_ = 1, spans_ = 1;
  Inputs<T> in_{};
  Outputs<T> out_{};
  T* packed_ = nullptr;
};

/** Adds up the first axis in order; a single copy is returned as it is. */
at::Tensor add_copies(const at::Tensor& copies) { return copies.size(0) == 1 ? copies[0] : copies.sum(0); }

template <class T>
Gradients backward(const Geometry& g, const at::Tensor& grad, const at::Tensor& input, const at::Tensor& weight,
                   const at::Tensor& offset, const at::Tensor& mask, const at::Tensor& bias, const std::array<bool, 5>& want) {
  const bool want_mask = want[3] && mask.defined(), want_bias = want[4] && bias.defined();
  at::Tensor bias_grad;
  if (want_bias) bias_grad = grad.sum({0, 2, 3});
  const auto zeros_like = [](const at::Tensor& t, bool wanted) { return wanted ? at::zeros_like(t) : at::Tensor(); };
  if (g.images == 0) {
    return {zeros_like(input, want[0]), zeros_like(weight, want[1]), zeros_like(offset, want[2]), zeros_like(mask, want_mask),
            bias_grad};
  }
  if (!want[0] && !want[1] && !want[2] && !want_mask) return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), bias_grad};

  const at::Tensor x = to_rows<T>(input), gy = to_rows<T>(grad), w = weight.contiguous(), off = offset.contiguous();
  const at::Tensor m = mask.defined() ? mask.contiguous() : mask;
  Backward<T> pass(g);
  const at::TensorOptions plain = x.options();
  const auto copies_of = [&](int64_t copies, at::IntArrayRef sizes, bool wanted) {
    if (!wanted) return at::Tensor();
    std::vector<int64_t> shape = sizes.vec();
    shape.insert(shape.begin(), copies);
    return at::zeros(shape, plain);
  };
  const at::Tensor gx = copies_of(pass.spans(), x.sizes(), want[0]);
  const at::Tensor gw = copies_of(pass.spans(), {pass.weight_values()}, want[1]);
  const at::Tensor goff = copies_of(pass.owners(), offset.sizes(), want[2]);
  const at::Tensor gm = copies_of(pass.owners(), mask.defined() ? mask.sizes() : at::IntArrayRef(), want_mask);
  const auto data = [](const at::Tensor& t) { return t.defined() ? t.template data_ptr<T>() : nullptr; };
  pass.run({data(x), data(gy), data(w), data(off), data(m)}, {data(gx), data(gw), data(goff), data(gm)});

  Gradients result{at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), bias_grad};
  if (want[0]) std::get<0>(result) = from_rows<T>(add_copies(gx), input.sizes(), format_of(input));
  if (want[1]) {
    std::get<1>(result) = at::empty(weight.sizes(), plain);
    pass.unpack(data(add_copies(gw)), data(std::get<1>(result)));
  }
  if (want[2]) std::get<2>(result) = add_copies(goff);
  if (want_mask) std::get<3>(result) = add_copies(gm);
  return result;
}

}  // namespace
}  // namespace cpu

Gradients deform_conv2d_backward_cpu(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> want) {
  const Geometry g = check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  TORCH_CHECK(grad.dim() == 4 && grad.size(0) == g.images && grad.size(1) == g.out_channels &&
                  grad.size(2) == g.out_height && grad.size(3) == g.out_width,
              "deform_conv2d: expected a gradient [N, O, Ho, Wo] of the output, got shape ", grad.sizes());
  const at::Tensor m = value_or_none(mask), b = value_or_none(bias);
  const at::ScalarType type = input.scalar_type();
  if (type == at::kFloat) return cpu::backward<float>(g, grad.to(type), input, weight, offset, m, b, want);
  if (type == at::kDouble) return cpu::backward<double>(g, grad.to(type), input, weight, offset, m, b, want);
  TORCH_CHECK(type == at::kHalf || type == at::kBFloat16,
              "deform_conv2d: expected float32, float64, float16 or bfloat16, got ", type);
  const auto wide = [](const at::Tensor& t) { return t.defined() ? t.to(at::kFloat) : t; };
  const auto narrow = [&](const at::Tensor& t) { return t.defined() ? t.to(type) : t; };
  const Gradients r =
      cpu::backward<float>(g, wide(grad), wide(input), wide(weight), wide(offset), wide(m), wide(b), want);
  return {narrow(std::get<0>(r)), narrow(std::get<1>(r)), narrow(std::get<2>(r)), narrow(std::get<3>(r)),
          narrow(std::get<4>(r))};
}

}  // namespace sepc
