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
SEPC_INLINE void transpose_quad(const T* from, int64_t fs, T* to, int64_t ts) {
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
SEPC_INLINE void transpose_quad(const T* from, int64_t fs, T* to, int64_t ts) {
  transpose_any<T>(from, fs, to, ts, 4, 4);
}

#endif

/** A square block of kSide rows and columns; the widest that registers hold, so that whole lines are read and written. */
template <class T>
struct Block {
  static constexpr int kSide = 4;
  static SEPC_INLINE void run(const T* from, int64_t fs, T* to, int64_t ts) { transpose_quad<T>(from, fs, to, ts); }
};

#if defined(SEPC_HAS_SHUFFLE) && defined(__AVX512F__)

// Interleave pairs, then quads, inside the 128-bit lanes; then gather equal lanes of the four quads of rows.
template <>
struct Block<float> {
  static constexpr int kSide = 16;
  typedef Vec<float> V;
  static SEPC_INLINE V even(V a, V b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
  }
  static SEPC_INLINE V odd(V a, V b) {
    return __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
  static SEPC_INLINE void run(const float* from, int64_t fs, float* to, int64_t ts) {
    V r[16], t[16];
    SEPC_UNROLL
    for (int i = 0; i < 16; i += 2) {
      const V a = load<V>(from + i * fs), b = load<V>(from + (i + 1) * fs);
      t[i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
      t[i + 1] = __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
    }
    SEPC_UNROLL
    for (int i = 0; i < 16; i += 4) {
      SEPC_UNROLL
      for (int k = 0; k < 2; ++k) {
        const V a = t[i + k], b = t[i + k + 2];
        r[i + 2 * k] = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
        r[i + 2 * k + 1] = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
      }
    }
    SEPC_UNROLL
    for (int k = 0; k < 4; ++k) {
      const V ab_even = even(r[k], r[4 + k]), ab_odd = odd(r[k], r[4 + k]);
      const V cd_even = even(r[8 + k], r[12 + k]), cd_odd = odd(r[8 + k], r[12 + k]);
      store(to + k * ts, even(ab_even, cd_even));
      store(to + (4 + k) * ts, even(ab_odd, cd_odd));
      store(to + (8 + k) * ts, odd(ab_even, cd_even));
      store(to + (12 + k) * ts, odd(ab_odd, cd_odd));
    }
  }
};

#elif defined(SEPC_HAS_SHUFFLE) && defined(__AVX__)

template <>
struct Block<float> {
  static constexpr int kSide = 8;
  typedef Vec<float> V;
  static SEPC_INLINE void run(const float* from, int64_t fs, float* to, int64_t ts) {
    V r[8], t[8];
    SEPC_UNROLL
    for (int i = 0; i < 8; i += 2) {
      const V a = load<V>(from + i * fs), b = load<V>(from + (i + 1) * fs);
      t[i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
      t[i + 1] = __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
    }
    SEPC_UNROLL
    for (int i = 0; i < 8; i += 4) {
      SEPC_UNROLL
      for (int k = 0; k < 2; ++k) {
        const V a = t[i + k], b = t[i + k + 2];
        r[i + 2 * k] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
        r[i + 2 * k + 1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
      }
    }
    SEPC_UNROLL
    for (int k = 0; k < 4; ++k) {
      store(to + k * ts, __builtin_shufflevector(r[k], r[4 + k], 0, 1, 2, 3, 8, 9, 10, 11));
      store(to + (4 + k) * ts, __builtin_shufflevector(r[k], r[4 + k], 4, 5, 6, 7, 12, 13, 14, 15));
    }
  }
};

#endif

template <class T>
void transpose(const T* from, int64_t fs, T* to, int64_t ts, int64_t rows, int64_t columns) {
  constexpr int64_t line = 64 / int64_t(sizeof(T)), side = Block<T>::kSide;
  const int64_t block_end = rows - rows % side, row_end = rows - rows % 4;
  for (int64_t c0 = 0; c0 < columns; c0 += line) {
    const int64_t c1 = c0 + line < columns ? c0 + line : columns;
    const int64_t blocks = c0 + (c1 - c0) / side * side, quads = c0 + (c1 - c0) / 4 * 4;
    for (int64_t r = 0; r < row_end;) {
      const bool whole = r < block_end;
      const T* row = from + r * fs;
      int64_t c = c0;
      for (; whole && c < blocks; c += side) Block<T>::run(row + c, fs, to + c * ts + r, ts);
      const int64_t height = whole ? side : 4;
      for (; c < quads; c += 4) {
        for (int64_t q = 0; q < height; q += 4) transpose_quad<T>(row + q * fs + c, fs, to + c * ts + r + q, ts);
      }
      r += height;
    }
    transpose_any<T>(from + quads, fs, to + quads * ts, ts, row_end, c1 - quads);
    transpose_any<T>(from + row_end * fs + c0, fs, to + c0 * ts + row_end, ts, rows - row_end, c1 - c0);
  }
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
