// Batch normalisation with ReLU over planes: one channel of one map, contiguous. Sums keep sixteen partial ones, so that
// they become vectors without any reordering by the compiler, and leave in double precision.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace sepc {
namespace cpu {
namespace {

constexpr int kPartials = 16;

template <class T>
SEPC_INLINE double total(const T* partials) {
  double sum = 0;
  for (int j = 0; j < kPartials; ++j) sum += double(partials[j]);
  return sum;
}

template <class T>
double plane_sum(const T* x, int64_t count) {
  T partial[kPartials] = {};
  int64_t i = 0;
  for (; i + kPartials <= count; i += kPartials) {
    for (int j = 0; j < kPartials; ++j) partial[j] += x[i + j];
  }
  double rest = 0;
  for (; i < count; ++i) rest += double(x[i]);
  return total(partial) + rest;
}

template <class T>
double plane_squares(const T* x, int64_t count, T mean) {
  T partial[kPartials] = {};
  int64_t i = 0;
  for (; i + kPartials <= count; i += kPartials) {
    for (int j = 0; j < kPartials; ++j) partial[j] += (x[i + j] - mean) * (x[i + j] - mean);
  }
  double rest = 0;
  for (; i < count; ++i) rest += double((x[i] - mean) * (x[i] - mean));
  return total(partial) + rest;
}

/** y = max(scale · x + shift, 0); NaN stays NaN. */
template <class T>
void plane_normalise(const T* x, T* y, int64_t count, T scale, T shift) {
  for (int64_t i = 0; i < count; ++i) {
    const T value = x[i] * scale + shift;
    y[i] = value < T(0) ? T(0) : value;
  }
}

/** The gradient where the ReLU let the value pass. Both are read first, so that the choice is a blend of vectors. */
template <class T>
SEPC_INLINE T passed(T value, T grad) {
  return value <= T(0) ? T(0) : grad;
}

/** sums[0] += Σ g, sums[1] += Σ g · (x - mean), g being what passed the ReLU. */
template <class T>
void plane_grad_sums(const PlaneGrad<T>& plane, double* sums) {
  const PlaneGrad<T> p = plane;
  T own[kPartials] = {}, moment[kPartials] = {};
  int64_t i = 0;
  for (; i + kPartials <= p.count; i += kPartials) {
    for (int j = 0; j < kPartials; ++j) {
      const T x = p.x[i + j], grad = p.grad[i + j];
      const T g = passed(x * p.scale + p.shift, grad);
      own[j] += g;
      moment[j] += g * (x - p.mean);
    }
  }
  for (; i < p.count; ++i) {
    const T g = passed(p.x[i] * p.scale + p.shift, p.grad[i]);
    sums[0] += double(g);
    sums[1] += double(g * (p.x[i] - p.mean));
  }
  sums[0] += total(own);
  sums[1] += total(moment);
}

/** out = scale · g + slope · (x - mean) + level. */
template <class T>
void plane_grad(const PlaneGrad<T>& plane, T* out, T slope, T level) {
  const PlaneGrad<T> p = plane;
  for (int64_t i = 0; i < p.count; ++i) {
    const T x = p.x[i], grad = p.grad[i];
    out[i] = p.scale * passed(x * p.scale + p.shift, grad) + (slope * (x - p.mean) + level);
  }
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
