// What forward and backward share: scratch memory, tiles of positions, and their sampling plans.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <vector>

#include "../geometry.h"
#include "kernels.h"

namespace sepc {
namespace cpu {

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

/** One allocation handed out in pieces aligned to cache lines. */
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : memory_(c10::GetCPUAllocator()->allocate(bytes + kLine)) {
    at_ = reinterpret_cast<char*>(round_up(reinterpret_cast<intptr_t>(memory_.get()), kLine));
    end_ = at_ + bytes;
  }
  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(at_);
    at_ += round_up(count * int64_t(sizeof(T)), kLine);
    TORCH_INTERNAL_ASSERT(at_ <= end_, "deform_conv2d: scratch memory too small");
    return piece;
  }
  template <class T>
  static int64_t size(int64_t count) {
    return round_up(count * int64_t(sizeof(T)), kLine);
  }

 private:
  static constexpr int64_t kLine = 64;
  c10::DataPtr memory_;
  char* at_;
  char* end_;
};

/** Positions [first, first + count) of one image. */
struct PositionTile {
  int64_t image, first, count;
};

/** Channels [first, first + count) that share a group of the weight and an offset group. */
struct Chunk {
  int64_t group, offset_group, first, count;
};

/** Cuts all channels, in order, into chunks of at most `widest` channels; inner cuts fall on multiples of `panel`. */
std::vector<Chunk> cut_channels(const Geometry& g, int64_t panel, int64_t widest);

/** Sampling plans of one tile for all taps of one offset group. */
template <class T>
class TilePlans {
 public:
  TilePlans(const Geometry& g, int64_t capacity, Scratch& scratch) : g_(g), capacity_(capacity) {
    base_y_ = scratch.take<T>(capacity);
    base_x_ = scratch.take<T>(capacity);
    values_ = scratch.take<T>(7 * capacity * g.taps());
    corners_ = scratch.take<int32_t>(4 * capacity * g.taps());
  }
  static int64_t bytes(const Geometry& g, int64_t capacity) {
    return 2 * Scratch::size<T>(capacity) + Scratch::size<T>(7 * capacity * g.taps()) +
           Scratch::size<int32_t>(4 * capacity * g.taps());
  }

  void move_to(const PositionTile& tile) {
    tile_ = tile;
    group_ = -1;
    for (int64_t p = 0, q = tile.first; p < tile.count; ++p, ++q) {
      base_y_[p] = T(q / g_.out_width * g_.stride_h - g_.pad_h);
      base_x_[p] = T(q % g_.out_width * g_.stride_w - g_.pad_w);
    }
  }

  /** Prepares all taps of an offset group; does nothing where they are prepared. */
  void prepare(const Kernels<T>& k, const T* offset, const T* mask, int64_t offset_group) {
    if (group_ == offset_group) return;
    group_ = offset_group;
    const int64_t samples = g_.offset_groups * g_.taps(), q = g_.positions();
    for (int64_t tap = 0; tap < g_.taps(); ++tap) {
      const int64_t sample = tile_.image * samples + offset_group * g_.taps() + tap;
      PlanArgs<T> args;
      args.plan = plan(tap, mask != nullptr);
      args.positions = tile_.count;
      args.base_y = base_y_;
      args.base_x = base_x_;
      args.tap_y = T(tap / g_.kernel_w * g_.dilation_h);
      args.tap_x = T(tap % g_.kernel_w * g_.dilation_w);
      args.offset_y = offset + 2 * sample * q + tile_.first;
      args.offset_x = args.offset_y + q;
      args.mask = mask != nullptr ? mask + sample * q + tile_.first : nullptr;
      args.height = g_.height;
      args.width = g_.width;
      k.plan(args);
    }
  }

  TapPlan<T> plan(int64_t tap, bool masked) const {
    T* v = values_ + 7 * capacity_ * tap;
    int32_t* c = corners_ + 4 * capacity_ * tap;
    const int64_t n = capacity_;
    return {{c, c + n, c + 2 * n, c + 3 * n}, {v, v + n, v + 2 * n, v + 3 * n}, v + 4 * n, v + 5 * n,
            masked ? v + 6 * n : nullptr};
  }

 private:
  const Geometry& g_;
  int64_t capacity_;
  PositionTile tile_{};
  int64_t group_ = -1;
  T* base_y_;
  T* base_x_;
  T* values_;
  int32_t* corners_;
};

/** [N, C, H, W] of any strides as [N·H·W, C] contiguous: a view where the tensor is channels-last already. */
template <class T>
at::Tensor to_rows(const at::Tensor& map);

/** The inverse of to_rows for a fresh [N, C, H, W] tensor in the given memory format. */
template <class T>
at::Tensor from_rows(const at::Tensor& rows, at::IntArrayRef sizes, at::MemoryFormat format);

/** The memory format that an operator on `map` should answer in. */
inline at::MemoryFormat format_of(const at::Tensor& map) {
  return map.suggest_memory_format() == at::MemoryFormat::ChannelsLast ? at::MemoryFormat::ChannelsLast
                                                                      : at::MemoryFormat::Contiguous;
}

}  // namespace cpu
}  // namespace sepc
