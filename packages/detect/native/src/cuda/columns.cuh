// The arithmetic of deformable convolution for one thread. Derivatives as in cpu/sampling.h; T is the storage type, A
// the type that coordinates and sums are held in (float for half precision).
#pragma once

#include <cmath>
#include <cstdint>

#include "../geometry.h"

#if defined(__CUDACC__)
#define SEPC_DEVICE __device__ __forceinline__
#else
#define SEPC_DEVICE inline
#endif

namespace sepc {
namespace cuda {

/** Tensors of a few images, all contiguous channels-first. `columns` is [images, C, taps, Ho·Wo]. */
template <class T>
struct Maps {
  const T* x;
  const T* offset;
  const T* mask;  // null without a mask
};

/** A sampling point: its upper left pixel, fractional parts, and which of the four corners exist. */
template <class A>
struct Point {
  int64_t first;  // y0·W + x0, meaningful for corners that exist
  A fy, fx, mask;
  bool exists[4];  // (0,0) (0,1) (1,0) (1,1)
};

template <class T, class A>
SEPC_DEVICE Point<A> locate(const Geometry& g, const Maps<T>& maps, int64_t image, int64_t offset_group, int64_t tap,
                            int64_t q) {
  const int64_t positions = g.out_height * g.out_width, taps = g.kernel_h * g.kernel_w;
  const int64_t sample = (image * g.offset_groups + offset_group) * taps + tap;
  const int64_t base_y = q / g.out_width * g.stride_h - g.pad_h + tap / g.kernel_w * g.dilation_h;
  const int64_t base_x = q % g.out_width * g.stride_w - g.pad_w + tap % g.kernel_w * g.dilation_w;
  const A y = A(base_y) + A(maps.offset[2 * sample * positions + q]);
  const A x = A(base_x) + A(maps.offset[(2 * sample + 1) * positions + q]);
  const bool inside = y > A(-1) && y < A(g.height) && x > A(-1) && x < A(g.width);
  Point<A> point;
  point.mask = maps.mask != nullptr ? A(maps.mask[sample * positions + q]) : A(1);
  // Outside: no corner exists, and the fractions are 0, or NaN for a NaN coordinate so that it is not hidden.
  const A hidden = (y != y || x != x) ? A(NAN) : A(0);
  const int64_t y0 = inside ? int64_t(floor(y)) : 0, x0 = inside ? int64_t(floor(x)) : 0;
  point.fy = inside ? y - A(y0) : hidden;
  point.fx = inside ? x - A(x0) : hidden;
  point.first = y0 * g.width + x0;
  const bool top = inside && y0 >= 0, bottom = inside && y0 + 1 < g.height;
  const bool left = x0 >= 0, right = x0 + 1 < g.width;
  point.exists[0] = top && left;
  point.exists[1] = top && right;
  point.exists[2] = bottom && left;
  point.exists[3] = bottom && right;
  return point;
}

/** Distance of a corner from the first one, in pixels. */
SEPC_DEVICE int64_t corner_step(const Geometry& g, int corner) { return corner / 2 * g.width + corner % 2; }

template <class A>
SEPC_DEVICE A corner_weight(const Point<A>& p, int corner) {
  return (corner < 2 ? A(1) - p.fy : p.fy) * (corner % 2 == 0 ? A(1) - p.fx : p.fx);
}

/** Index i of [images, C, taps, Ho·Wo] taken apart. */
struct ColumnIndex {
  int64_t image, channel, tap, q;
};
SEPC_DEVICE ColumnIndex column_index(const Geometry& g, int64_t i) {
  const int64_t positions = g.out_height * g.out_width, taps = g.kernel_h * g.kernel_w;
  const int64_t q = i % positions, rest = i / positions;
  return {rest / (taps * g.channels), rest / taps % g.channels, rest % taps, q};
}

/** columns[i] = mask · bilinear value. */
template <class T, class A>
SEPC_DEVICE void write_column(int64_t i, const Geometry& g, const Maps<T>& maps, T* columns) {
  const ColumnIndex at = column_index(g, i);
  const Point<A> p = locate<T, A>(g, maps, at.image, at.channel / (g.channels / g.offset_groups), at.tap, at.q);
  const T* x = maps.x + (at.image * g.channels + at.channel) * g.height * g.width;
  A sum = A(0);
  for (int corner = 0; corner < 4; ++corner) {
    const A value = p.exists[corner] ? A(x[p.first + corner_step(g, corner)]) : A(0);
    sum += corner_weight(p, corner) * value;
  }
  columns[i] = T(p.mask * sum);
}

/** Adds the gradient of columns[i] to the four pixels it was sampled from; `add` must be atomic. */
template <class T, class A, class Add>
SEPC_DEVICE void add_input_gradient(int64_t i, const Geometry& g, const Maps<T>& maps, const T* grad_columns, T* grad_x,
                                    const Add& add) {
  const ColumnIndex at = column_index(g, i);
  const Point<A> p = locate<T, A>(g, maps, at.image, at.channel / (g.channels / g.offset_groups), at.tap, at.q);
  T* to = grad_x + (at.image * g.channels + at.channel) * g.height * g.width;
  const A scaled = A(grad_columns[i]) * p.mask;
  for (int corner = 0; corner < 4; ++corner) {
    if (p.exists[corner]) add(to + p.first + corner_step(g, corner), T(scaled * corner_weight(p, corner)));
  }
}

/** Offset and mask gradients of sample i of [images, offset_groups, taps, Ho·Wo]; either output may be null. */
template <class T, class A>
SEPC_DEVICE void write_sample_gradient(int64_t i, const Geometry& g, const Maps<T>& maps, const T* grad_columns,
                                       T* grad_offset, T* grad_mask) {
  const int64_t positions = g.out_height * g.out_width, taps = g.kernel_h * g.kernel_w, pixels = g.height * g.width;
  const int64_t q = i % positions, sample = i / positions, size = g.channels / g.offset_groups;
  const int64_t tap = sample % taps, group = sample / taps % g.offset_groups, image = sample / taps / g.offset_groups;
  const Point<A> p = locate<T, A>(g, maps, image, group, tap, q);
  A dot[4] = {A(0), A(0), A(0), A(0)};
  for (int64_t c = group * size; c < (group + 1) * size; ++c) {
    const T* x = maps.x + (image * g.channels + c) * pixels + p.first;
    const A grad = A(grad_columns[((image * g.channels + c) * taps + tap) * positions + q]);
    for (int corner = 0; corner < 4; ++corner) {
      if (p.exists[corner]) dot[corner] += grad * A(x[corner_step(g, corner)]);
    }
  }
  if (grad_offset != nullptr) {
    const A dy = (A(1) - p.fx) * (dot[2] - dot[0]) + p.fx * (dot[3] - dot[1]);
    const A dx = (A(1) - p.fy) * (dot[1] - dot[0]) + p.fy * (dot[3] - dot[2]);
    grad_offset[2 * sample * positions + q] = T(p.mask * dy);
    grad_offset[(2 * sample + 1) * positions + q] = T(p.mask * dx);
  }
  if (grad_mask != nullptr) {
    A value = A(0);
    for (int corner = 0; corner < 4; ++corner) value += corner_weight(p, corner) * dot[corner];
    grad_mask[i] = T(value);
  }
}

}  // namespace cuda
}  // namespace sepc
