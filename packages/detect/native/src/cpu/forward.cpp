// Forward pass on the processor.
//
// out[p, o] = bias[o] + Σ_(tap, c) weight[o, c, tap] · column[p, tap, c], where column holds the sampled input. The
// column matrix (nine times the map) is never built. Each task takes a tile of about 200 positions and walks over
// blocks of taps: sample the block (positions x up to kBlock values, 200 KiB, stays in the second-level cache), then
// multiply it by the packed weights of those taps, accumulating in the tile's output, which stays there too. Weights
// stream through once per tile. With O outputs a sample costs 4 multiply-adds and serves O, so the sampling is small.
#include <ATen/ATen.h>

#include "../ops.h"
#include "parallel.h"
#include "tiles.h"

namespace sepc {
namespace cpu {
namespace {

constexpr int64_t kTile = 196;      // positions of a tile
constexpr int64_t kBlock = 256;     // values of a position that are sampled between two products
constexpr int64_t kPackRows = 144;  // rows of a panel that are transposed at a time, within the first-level cache

template <class T>
struct Maps {
  const T *x, *offset, *mask, *bias;  // x as rows [N·H·W, C]; mask and bias may be null
  T* out;
  bool channels_last;  // layout of out
};

template <class T>
class Forward {
 public:
  Forward(const Geometry& geometry, const Maps<T>& maps) : g_(geometry), maps_(maps) { choose_tiles(); }

  void run(const T* weight) {
    const int64_t count = g_.groups * group_weights();
    Scratch weights(Scratch::size<T>(count));
    packed_ = weights.take<T>(count);
    pack(weight);
    const int64_t tasks = g_.images * tiles_per_image_, workers = worker_count(tasks);
    std::vector<Scratch> scratch;
    std::vector<Memory> memory;
    for (int64_t slot = 0; slot < workers; ++slot) scratch.emplace_back(scratch_bytes());
    for (Scratch& piece : scratch) memory.push_back(carve(piece));
    run_tasks(tasks, workers, [&](int64_t task, int64_t slot) {
      const int64_t first = task % tiles_per_image_ * capacity_;
      run_tile(memory[slot], {task / tiles_per_image_, first, std::min(capacity_, g_.positions() - first)});
    });
  }

 private:
  struct Memory {
    TilePlans<T> plans;
    T *columns, *result, *zeros;
  };

  /** Values of weight behind one panel of outputs, and behind one group. */
  int64_t panel_weights() const { return g_.taps() * g_.group_in() * nr_; }
  int64_t group_weights() const { return out_panels_ * panel_weights(); }
  int64_t panels(int64_t channels) const { return ceil_div(channels, nr_); }
  int64_t taps_per_block(const Chunk& chunk) const {
    return std::min(g_.taps(), std::max<int64_t>(1, kBlock / (panels(chunk.count) * nr_)));
  }

  /** Tiles of equal size, their number a multiple of the threads where that costs little. */
  void choose_tiles() {
    const int64_t positions = g_.positions(), threads = std::max<int64_t>(1, at::get_num_threads());
    int64_t tiles = ceil_div(positions, kTile);
    while (g_.images * tiles < 8 * threads && g_.images * tiles % threads != 0 && positions / (tiles + 1) >= k_.rows) {
      ++tiles;
    }
    capacity_ = round_up(ceil_div(positions, tiles), k_.rows);
    tiles_per_image_ = ceil_div(positions, capacity_);
  }

  /** weight [O, Cg, taps] -> [groups][out panel][chunk][tap][c][NR], zero beyond the group's outputs. */
  void pack(const T* weight) {
    const int64_t og = g_.group_out(), tasks = int64_t(chunks_.size()) * out_panels_, taps = g_.taps();
    const int64_t depth = g_.group_in() * taps, strip = std::max<int64_t>(1, kPackRows / taps);
    const int64_t workers = worker_count(tasks);
    Scratch scratch(workers * Scratch::size<T>(strip * taps * nr_));
    std::vector<T*> turned;  // a strip of channels as [c][tap][NR]; transposed there, then moved by whole rows
    for (int64_t slot = 0; slot < workers; ++slot) turned.push_back(scratch.take<T>(strip * taps * nr_));
    run_tasks(tasks, workers, [&](int64_t task, int64_t slot) {
      const Chunk& chunk = chunks_[task / out_panels_];
      const int64_t j = task % out_panels_, count = std::min(nr_, og - j * nr_), c0 = chunk.first % g_.group_in();
      T* to = packed_ + chunk.group * group_weights() + j * panel_weights() + c0 * taps * nr_;
      const T* from = weight + (chunk.group * og + j * nr_) * depth + c0 * taps;
      T* rows = turned[slot];
      std::fill(rows, rows + strip * taps * nr_, T(0));
      for (int64_t first = 0; first < chunk.count; first += strip) {
        const int64_t channels = std::min(strip, chunk.count - first);
        k_.transpose(from + first * taps, depth, rows, nr_, count, channels * taps);
        for (int64_t tap = 0; tap < taps; ++tap) {
          for (int64_t c = 0; c < channels; ++c) {
            std::copy_n(rows + (c * taps + tap) * nr_, nr_, to + (tap * chunk.count + first + c) * nr_);
          }
        }
      }
    });
  }

  int64_t column_panels() const {
    int64_t most = 0;
    for (const Chunk& chunk : chunks_) most = std::max(most, taps_per_block(chunk) * panels(chunk.count));
    return most;
  }
  int64_t scratch_bytes() const {
    return TilePlans<T>::bytes(g_, capacity_) + Scratch::size<T>(column_panels() * capacity_ * nr_) +
           Scratch::size<T>(out_panels_ * capacity_ * nr_) + Scratch::size<T>(g_.channels);
  }
  Memory carve(Scratch& scratch) const {
    Memory m{TilePlans<T>(g_, capacity_, scratch), nullptr, nullptr, nullptr};
    m.columns = scratch.take<T>(column_panels() * capacity_ * nr_);
    m.result = scratch.take<T>(out_panels_ * capacity_ * nr_);
    m.zeros = scratch.take<T>(g_.channels);
    std::fill(m.zeros, m.zeros + g_.channels, T(0));
    return m;
  }

  void run_tile(Memory& m, const PositionTile& tile) const {
    m.plans.move_to(tile);
    int64_t group = -1;
    for (const Chunk& chunk : chunks_) {
      if (chunk.group != group) {
        if (group >= 0) finish(m, tile, group);
        group = chunk.group;
        start(m, tile, group);
      }
      m.plans.prepare(k_, maps_.offset, maps_.mask, chunk.offset_group);
      for (int64_t tap = 0; tap < g_.taps(); tap += taps_per_block(chunk)) {
        run_block(m, tile, chunk, tap, std::min(taps_per_block(chunk), g_.taps() - tap));
      }
    }
    finish(m, tile, group);
  }

  /** Result rows of a group begin as the bias. */
  void start(Memory& m, const PositionTile& tile, int64_t group) const {
    for (int64_t j = 0; j < out_panels_; ++j) {
      T* row = m.result + j * capacity_ * nr_;
      const int64_t first = group * g_.group_out() + j * nr_, count = std::min(nr_, g_.group_out() - j * nr_);
      for (int64_t p = 0; p < tile.count; ++p, row += nr_) {
        std::fill(row, row + nr_, T(0));
        if (maps_.bias != nullptr) std::copy_n(maps_.bias + first, count, row);
      }
    }
  }

  void run_block(Memory& m, const PositionTile& tile, const Chunk& chunk, int64_t tap, int64_t taps) const {
    SampleArgs<T> args;
    args.positions = tile.count;
    args.x = maps_.x + tile.image * g_.pixels() * g_.channels + chunk.first;
    args.pixel_stride = g_.channels;
    args.channels = chunk.count;
    args.zeros = m.zeros;
    args.panel_stride = capacity_ * nr_;
    for (int64_t t = 0; t < taps; ++t) {
      args.plan = m.plans.plan(tap + t, maps_.mask != nullptr);
      args.columns = m.columns + t * panels(chunk.count) * args.panel_stride;
      k_.sample(args);
    }
    const int64_t c0 = chunk.first % g_.group_in();
    PanelProduct<T> product;
    product.rows = tile.count;
    product.a = m.columns;
    product.a_panel_stride = capacity_ * nr_;
    product.taps = taps;
    product.depth = chunk.count;
    product.b = packed_ + chunk.group * group_weights() + (c0 * g_.taps() + tap * chunk.count) * nr_;
    product.b_stride = panel_weights();
    product.c = m.result;
    product.c_stride = capacity_ * nr_;
    product.out_panels = out_panels_;
    product.accumulate = true;
    k_.multiply(product);
  }

  void finish(const Memory& m, const PositionTile& tile, int64_t group) const {
    for (int64_t j = 0; j < out_panels_; ++j) {
      const T* rows = m.result + j * capacity_ * nr_;
      const int64_t first = group * g_.group_out() + j * nr_, count = std::min(nr_, g_.group_out() - j * nr_);
      if (maps_.channels_last) {
        T* to = maps_.out + (tile.image * g_.positions() + tile.first) * g_.out_channels + first;
        for (int64_t p = 0; p < tile.count; ++p) std::copy_n(rows + p * nr_, count, to + p * g_.out_channels);
      } else {
        T* to = maps_.out + (tile.image * g_.out_channels + first) * g_.positions() + tile.first;
        k_.transpose(rows, nr_, to, g_.positions(), tile.count, count);
      }
    }
  }

  const Geometry& g_;
  const Maps<T> maps_;
  const Kernels<T>& k_ = kernels<T>();
  const int64_t nr_ = k_.panel;
  const int64_t out_panels_ = ceil_div(g_.group_out(), nr_);
  const std::vector<Chunk> chunks_ = cut_channels(g_, nr_, kBlock);
  int64_t capacity_ = 0, tiles_per_image_ = 0;
  T* packed_ = nullptr;
};

template <class T>
at::Tensor forward(const Geometry& g, const at::Tensor& input, const at::Tensor& weight, const at::Tensor& offset,
                   const at::Tensor& mask, const at::Tensor& bias) {
  const at::MemoryFormat format = format_of(input);
  at::Tensor out = at::empty({g.images, g.out_channels, g.out_height, g.out_width}, input.options(), format);
  if (g.images == 0) return out;
  const at::Tensor rows = to_rows<T>(input), w = weight.contiguous(), off = offset.contiguous();
  const at::Tensor m = mask.defined() ? mask.contiguous() : mask, b = bias.defined() ? bias.contiguous() : bias;
  Maps<T> maps;
  maps.x = rows.data_ptr<T>();
  maps.offset = off.data_ptr<T>();
  maps.mask = m.defined() ? m.data_ptr<T>() : nullptr;
  maps.bias = b.defined() ? b.data_ptr<T>() : nullptr;
  maps.out = out.data_ptr<T>();
  maps.channels_last = format == at::MemoryFormat::ChannelsLast;
  Forward<T>(g, maps).run(w.data_ptr<T>());
  return out;
}

}  // namespace
}  // namespace cpu

at::Tensor deform_conv2d_cpu(SEPC_DEFORM_ARGS) {
  const Geometry g = check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  const at::Tensor m = value_or_none(mask), b = value_or_none(bias);
  const at::ScalarType type = input.scalar_type();
  if (type == at::kFloat) return cpu::forward<float>(g, input, weight, offset, m, b);
  if (type == at::kDouble) return cpu::forward<double>(g, input, weight, offset, m, b);
  TORCH_CHECK(type == at::kHalf || type == at::kBFloat16,
              "deform_conv2d: expected float32, float64, float16 or bfloat16, got ", type);
  const auto wide = [](const at::Tensor& t) { return t.defined() ? t.to(at::kFloat) : t; };
  return cpu::forward<float>(g, wide(input), wide(weight), wide(offset), wide(m), wide(b)).to(type);
}

}  // namespace sepc
