// Matrix transposition, for the change between channels-first and channels-last. Whole cache lines of the source are
// consumed at once, since its rows are usually a multiple of 4 KiB apart and would evict each other.
#pragma once

#include "kernels.h"
#include "simd.h"

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SEPC_HAS_SHUFFLE 1
#endif
#endif

namespace sepc {
namespace cpu {
namespace {

template <class T>
SEPC_INLINE void transpose_any(const T* from, int64_t fs, T* to, int64_t ts, int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; ++c) {
    for (int64_t r = 0; r < rows; ++r) to[c * ts + r] = from[r * fs + c];
  }
}

#if defined(SEPC_HAS_SHUFFLE)

template <class T>
SEPC_INLINE void transpose_block(const T* from, int64_t fs, T* to, int64_t ts) {
  typedef typename VectorType<T, 4 * sizeof(T)>::type V;
  const V a = load<V>(from), b = load<V>(from + fs), c = load<V>(from + 2 * fs), d = load<V>(from + 3 * fs);
  const V ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const V cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  store(to, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
  store(to + ts, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
  store(to + 2 * ts, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
  store(to + 3 * ts, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
}

#else

template <class T>
SEPC_INLINE void transpose_block(const T* from, int64_t fs, T* to, int64_t ts) {
  transpose_any<T>(from, fs, to, ts, 4, 4);
}

#endif

template <class T>
void transpose(const T* from, int64_t fs, T* to, int64_t ts, int64_t rows, int64_t columns) {
  constexpr int64_t line = 64 / int64_t(sizeof(T));
  const int64_t row_end = rows - rows % 4;
  for (int64_t c0 = 0; c0 < columns; c0 += line) {
    const int64_t c1 = c0 + line < columns ? c0 + line : columns;
    const int64_t quad_end = c0 + (c1 - c0) / 4 * 4;
    for (int64_t r = 0; r < row_end; r += 4) {
      for (int64_t c = c0; c < quad_end; c += 4) transpose_block<T>(from + r * fs + c, fs, to + c * ts + r, ts);
    }
    transpose_any<T>(from + quad_end, fs, to + quad_end * ts, ts, row_end, c1 - quad_end);
    transpose_any<T>(from + row_end * fs + c0, fs, to + c0 * ts + row_end, ts, rows - row_end, c1 - c0);
  }
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
