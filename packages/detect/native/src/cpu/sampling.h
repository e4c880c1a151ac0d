// Bilinear sampling with zero padding, and its transpose.
//
// For a coordinate (y, x), inside where -1 < y < H and -1 < x < W, let y0 = floor(y), fy = y - y0, and so for x. Then
//   value(c)      = Σ_ij w_ij · X[y0+i, x0+j, c],   w = (1-fy)(1-fx), (1-fy)fx, fy(1-fx), fyfx,   X = 0 outside
//   ∂value/∂y     = (1-fx)(X10 - X00) + fx(X11 - X01)      (the right-hand derivative at integers)
//   ∂value/∂x     = (1-fy)(X01 - X00) + fy(X11 - X10)
// With g the gradient of the column row over the channels, only the four products g·X_ij are needed for the offset and
// mask gradients, so they are accumulated per channel vector and combined before the sum over lanes.
// A coordinate that is not inside contributes nothing anywhere; one that is NaN makes fy and fx NaN with all corners
// outside: 0 · NaN then gives NaN to the value and to the offset gradient, and nothing reaches the input gradient.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace sepc {
namespace cpu {
namespace {

template <class T>
void plan(const PlanArgs<T>& a) {
  const T height = T(a.height), width = T(a.width);
  const int32_t last_y = int32_t(a.height - 1), last_x = int32_t(a.width - 1), row = int32_t(a.width);
  int32_t *c00 = a.plan.corner[0], *c01 = a.plan.corner[1], *c10 = a.plan.corner[2], *c11 = a.plan.corner[3];
  T *w00 = a.plan.weight[0], *w01 = a.plan.weight[1], *w10 = a.plan.weight[2], *w11 = a.plan.weight[3];
  T *out_fy = a.plan.fy, *out_fx = a.plan.fx, *out_mask = a.plan.mask;
  const T nan = T(__builtin_nanf(""));
  for (int64_t p = 0; p < a.positions; ++p) {
    const T y = a.base_y[p] + a.tap_y + a.offset_y[p];
    const T x = a.base_x[p] + a.tap_x + a.offset_x[p];
    const bool inside = (y > T(-1)) & (y < height) & (x > T(-1)) & (x < width);
    const bool is_nan = (y != y) | (x != x);
    const T sy = inside ? y : T(0), sx = inside ? x : T(0);  // bounded, so the conversion to integer is defined
    const int32_t ty = int32_t(sy), tx = int32_t(sx);
    const int32_t y0 = ty - (sy < T(ty) ? 1 : 0), x0 = tx - (sx < T(tx) ? 1 : 0);
    const T fy = is_nan ? nan : sy - T(y0), fx = is_nan ? nan : sx - T(x0);
    const bool top = inside & (y0 >= 0), bottom = inside & (y0 < last_y);
    const bool left = x0 >= 0, right = x0 < last_x;
    const int32_t first = y0 * row + x0;
    c00[p] = (top & left) ? first : -1;
    c01[p] = (top & right) ? first + 1 : -1;
    c10[p] = (bottom & left) ? first + row : -1;
    c11[p] = (bottom & right) ? first + row + 1 : -1;
    out_fy[p] = fy;
    out_fx[p] = fx;
    w00[p] = (T(1) - fy) * (T(1) - fx);
    w01[p] = (T(1) - fy) * fx;
    w10[p] = fy * (T(1) - fx);
    w11[p] = fy * fx;
  }
  if (a.mask == nullptr) return;
  for (int64_t p = 0; p < a.positions; ++p) {
    const T m = a.mask[p];
    out_mask[p] = m;
    w00[p] *= m;
    w01[p] *= m;
    w10[p] *= m;
    w11[p] *= m;
  }
}

/** The four corner rows of one position, outside ones replaced by `outside`. */
template <class T, class P>
SEPC_INLINE void corner_rows(const TapPlan<T>& plan, int64_t p, P* first, int64_t stride, P* outside, P* (&rows)[4]) {
  SEPC_UNROLL
  for (int i = 0; i < 4; ++i) {
    const int64_t pixel = plan.corner[i][p];
    rows[i] = pixel < 0 ? outside : first + pixel * stride;
  }
}

template <class T>
void sample(const SampleArgs<T>& a) {
  constexpr int64_t nr = panel<T>(), vl = lanes<T>();
  for (int64_t p = 0; p < a.positions; ++p) {
    const T* x[4];
    corner_rows<T, const T>(a.plan, p, a.x, a.pixel_stride, a.zeros, x);
    const T w0 = a.plan.weight[0][p], w1 = a.plan.weight[1][p], w2 = a.plan.weight[2][p], w3 = a.plan.weight[3][p];
    T* to = a.columns + p * nr;
    int64_t c = 0;
    for (; c + nr <= a.channels; c += nr, to += a.panel_stride) {
      SEPC_UNROLL
      for (int64_t v = 0; v < nr; v += vl) {
        Vec<T> sum = w0 * load<Vec<T>>(x[0] + c + v);
        sum += w1 * load<Vec<T>>(x[1] + c + v);
        sum += w2 * load<Vec<T>>(x[2] + c + v);
        sum += w3 * load<Vec<T>>(x[3] + c + v);
        store(to + v, sum);
      }
    }
    for (int64_t v = 0; c + v < a.channels; ++v) {
      to[v] = w0 * x[0][c + v] + w1 * x[1][c + v] + w2 * x[2][c + v] + w3 * x[3][c + v];
    }
  }
}

template <class T, bool ToInput, bool Dots, bool Resample>
void scatter_parts(const ScatterArgs<T>& a) {
  constexpr int64_t nr = panel<T>(), vl = lanes<T>();
  const SampleArgs<T>& s = a.sample;
  const TapPlan<T>& plan = s.plan;
  for (int64_t p = 0; p < s.positions; ++p) {
    const T* x[4];
    T* gx[4];
    if (Dots || Resample) corner_rows<T, const T>(plan, p, s.x, s.pixel_stride, s.zeros, x);
    if (ToInput) corner_rows<T, T>(plan, p, a.grad_x, s.pixel_stride, a.trash, gx);
    const T w0 = plan.weight[0][p], w1 = plan.weight[1][p], w2 = plan.weight[2][p], w3 = plan.weight[3][p];
    const T* g = a.grad_columns + p * nr;
    T* to = s.columns + p * nr;
    Vec<T> dot[4] = {Vec<T>{}, Vec<T>{}, Vec<T>{}, Vec<T>{}};
    T rest[4] = {T(0), T(0), T(0), T(0)};
    for (int64_t c = 0; c < s.channels; c += nr, g += s.panel_stride, to += s.panel_stride) {
      int64_t v = 0;
      const int64_t width = s.channels - c < nr ? s.channels - c : nr;
      for (; v + vl <= width; v += vl) {
        Vec<T> gv{}, xv[4];
        if (ToInput || Dots) gv = load<Vec<T>>(g + v);
        if (Dots || Resample) {
          SEPC_UNROLL
          for (int i = 0; i < 4; ++i) xv[i] = load<Vec<T>>(x[i] + c + v);
        }
        if (Dots) {
          SEPC_UNROLL
          for (int i = 0; i < 4; ++i) dot[i] += gv * xv[i];
        }
        if (Resample) {
          Vec<T> sum = w0 * xv[0];
          sum += w1 * xv[1];
          sum += w2 * xv[2];
          sum += w3 * xv[3];
          store(to + v, sum);
        }
        if (ToInput) {
          store(gx[0] + c + v, load<Vec<T>>(gx[0] + c + v) + w0 * gv);
          store(gx[1] + c + v, load<Vec<T>>(gx[1] + c + v) + w1 * gv);
          store(gx[2] + c + v, load<Vec<T>>(gx[2] + c + v) + w2 * gv);
          store(gx[3] + c + v, load<Vec<T>>(gx[3] + c + v) + w3 * gv);
        }
      }
      for (; v < width; ++v) {
        if (Dots) {
          for (int i = 0; i < 4; ++i) rest[i] += g[v] * x[i][c + v];
        }
        if (Resample) to[v] = w0 * x[0][c + v] + w1 * x[1][c + v] + w2 * x[2][c + v] + w3 * x[3][c + v];
        if (ToInput) {
          gx[0][c + v] += w0 * g[v];
          gx[1][c + v] += w1 * g[v];
          gx[2][c + v] += w2 * g[v];
          gx[3][c + v] += w3 * g[v];
        }
      }
    }
    if (!Dots) continue;
    const T fy = plan.fy[p], fx = plan.fx[p], ey = T(1) - fy, ex = T(1) - fx;
    if (a.grad_offset_y != nullptr) {
      const T m = plan.mask != nullptr ? plan.mask[p] : T(1);
      const Vec<T> dy = ex * (dot[2] - dot[0]) + fx * (dot[3] - dot[1]);
      const Vec<T> dx = ey * (dot[1] - dot[0]) + fy * (dot[3] - dot[2]);
      const T rest_y = ex * (rest[2] - rest[0]) + fx * (rest[3] - rest[1]);
      const T rest_x = ey * (rest[1] - rest[0]) + fy * (rest[3] - rest[2]);
      a.grad_offset_y[p] += m * (horizontal_sum<T>(dy) + rest_y);
      a.grad_offset_x[p] += m * (horizontal_sum<T>(dx) + rest_x);
    }
    if (a.grad_mask != nullptr) {
      const Vec<T> value = ey * (ex * dot[0] + fx * dot[1]) + fy * (ex * dot[2] + fx * dot[3]);
      const T rest_value = ey * (ex * rest[0] + fx * rest[1]) + fy * (ex * rest[2] + fx * rest[3]);
      a.grad_mask[p] += horizontal_sum<T>(value) + rest_value;
    }
  }
}

template <class T>
void scatter(const ScatterArgs<T>& a) {
  const bool to_input = a.grad_x != nullptr;
  const bool dots = a.grad_offset_y != nullptr || a.grad_mask != nullptr;
  const bool resample = a.sample.columns != nullptr;
  if (to_input && dots && resample) return scatter_parts<T, true, true, true>(a);
  if (to_input && dots) return scatter_parts<T, true, true, false>(a);
  if (to_input && resample) return scatter_parts<T, true, false, true>(a);
  if (dots && resample) return scatter_parts<T, false, true, true>(a);
  if (to_input) return scatter_parts<T, true, false, false>(a);
  if (dots) return scatter_parts<T, false, true, false>(a);
  if (resample) return sample<T>(a.sample);
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
