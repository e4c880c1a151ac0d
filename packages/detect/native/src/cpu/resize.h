// One output row of a bilinear upsampling, and its transpose. The two source rows are mixed first, which runs over
// contiguous memory; the mixed row then lies in the first-level cache for the uneven steps along x.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace sepc {
namespace cpu {
namespace {

template <class T>
void upsample_row(const ResizeRow<T>& r, const T* top, const T* bottom, const T* base, T* out) {
  for (int64_t x = 0; x < r.width; ++x) r.mixed[x] = top[x] + r.fy * (bottom[x] - top[x]);
  r.mixed[r.width] = r.mixed[r.width - 1];
  for (int64_t x = 0; x < r.out_width; ++x) {
    const T left = r.mixed[r.left[x]], right = r.mixed[r.left[x] + 1];
    out[x] = base[x] + (left + r.fx[x] * (right - left));
  }
}

template <class T>
void upsample_row_adjoint(const ResizeRow<T>& r, const T* grad, T* top, T* bottom) {
  for (int64_t x = 0; x <= r.width; ++x) r.mixed[x] = T(0);
  for (int64_t x = 0; x < r.out_width; ++x) {
    r.mixed[r.left[x]] += (T(1) - r.fx[x]) * grad[x];
    r.mixed[r.left[x] + 1] += r.fx[x] * grad[x];
  }
  r.mixed[r.width - 1] += r.mixed[r.width];
  for (int64_t x = 0; x < r.width; ++x) top[x] += (T(1) - r.fy) * r.mixed[x];
  for (int64_t x = 0; x < r.width; ++x) bottom[x] += r.fy * r.mixed[x];
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
