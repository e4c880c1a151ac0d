// Fixed-width vectors for the CPU kernels, without intrinsics: one source serves SSE2, AVX2+FMA, AVX-512 and NEON.
//
// The files that include this header are compiled several times with different instruction-set flags. Whatever is
// emitted here must therefore have internal linkage and nothing from the standard library or ATen may be inlined: a
// weak symbol compiled for AVX-512 could otherwise replace the portable copy and crash an older processor.
#pragma once

#include <cstdint>

#if defined(__AVX512F__)
#define SEPC_VECTOR_BYTES 64
#elif defined(__AVX__)
#define SEPC_VECTOR_BYTES 32
#else
#define SEPC_VECTOR_BYTES 16
#endif

#if defined(__GNUC__) || defined(__clang__)
#define SEPC_INLINE inline __attribute__((always_inline))
#define SEPC_UNROLL _Pragma("GCC unroll 64")
#else
#define SEPC_INLINE __forceinline
#define SEPC_UNROLL
#endif

namespace sepc {
namespace cpu {
namespace {

#if defined(__GNUC__) || defined(__clang__)

template <class T, int Bytes>
struct VectorType {
  typedef T type __attribute__((vector_size(Bytes)));
};
template <class T>
using Vec = typename VectorType<T, SEPC_VECTOR_BYTES>::type;

template <class V, class T>
SEPC_INLINE V load(const T* from) {
  V v;
  __builtin_memcpy(&v, from, sizeof(V));
  return v;
}
template <class V, class T>
SEPC_INLINE void store(T* to, V v) {
  __builtin_memcpy(to, &v, sizeof(V));
}

#else  // a compiler without vector extensions: plain arrays, left to its own vectoriser

template <class T>
struct Vec {
  T lane[SEPC_VECTOR_BYTES / sizeof(T)];
};
template <class T, class F>
SEPC_INLINE Vec<T> each(F f) {
  Vec<T> r;
  for (int i = 0; i < int(SEPC_VECTOR_BYTES / sizeof(T)); ++i) r.lane[i] = f(i);
  return r;
}
template <class T>
SEPC_INLINE Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return each<T>([&](int i) { return a.lane[i] + b.lane[i]; });
}
template <class T>
SEPC_INLINE Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return each<T>([&](int i) { return a.lane[i] - b.lane[i]; });
}
template <class T>
SEPC_INLINE Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return each<T>([&](int i) { return a.lane[i] * b.lane[i]; });
}
template <class T>
SEPC_INLINE Vec<T> operator*(T a, Vec<T> b) {
  return each<T>([&](int i) { return a * b.lane[i]; });
}
template <class T>
SEPC_INLINE Vec<T>& operator+=(Vec<T>& a, Vec<T> b) {
  return a = a + b;
}
template <class V, class T>
SEPC_INLINE V load(const T* from) {
  V v;
  for (int i = 0; i < int(sizeof(V) / sizeof(T)); ++i) v.lane[i] = from[i];
  return v;
}
template <class V, class T>
SEPC_INLINE void store(T* to, V v) {
  for (int i = 0; i < int(sizeof(V) / sizeof(T)); ++i) to[i] = v.lane[i];
}

#endif

template <class T>
constexpr int lanes() {
  return SEPC_VECTOR_BYTES / int(sizeof(T));
}

/** Sum of the lanes, by halves, so that the order is the same on every call. */
template <class T>
SEPC_INLINE T horizontal_sum(Vec<T> v) {
  T part[lanes<T>()];
  store(part, v);
  SEPC_UNROLL
  for (int width = lanes<T>() / 2; width > 0; width /= 2) {
    SEPC_UNROLL
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  }
  return part[0];
}

// Register tile of the matrix kernels: kRows broadcast values times kPanel = two vectors. It must leave room for two
// operand vectors and one broadcast: 14 x 2 accumulators of 32 registers (AVX-512), 12 x 2 of 32 (NEON), 6 x 2 of 16.
#if defined(__AVX512F__)
constexpr int kRows = 14;
#elif defined(__aarch64__) || defined(_M_ARM64)
constexpr int kRows = 12;
#else
constexpr int kRows = 6;
#endif
constexpr int kVectors = 2;

template <class T>
constexpr int panel() {
  return kVectors * lanes<T>();
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
