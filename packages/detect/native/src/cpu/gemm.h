// Matrix kernels. A register tile of kRows x NR accumulators is updated by rank-1 steps: NR values of b are loaded as
// vectors, kRows values of a are broadcast. With 14 x 32 floats that is 28 fused multiply-adds for 16 loads, so the
// multipliers are the limit and operands may come from the second-level cache. c is always [rows][NR] contiguous.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace sepc {
namespace cpu {
namespace {

template <class T, int M>
struct Tile {
  Vec<T> acc[M][kVectors];

  SEPC_INLINE void clear() {
    SEPC_UNROLL
    for (int i = 0; i < M; ++i) {
      SEPC_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[i][v] = Vec<T>{};
    }
  }
  SEPC_INLINE void read(const T* c) {
    SEPC_UNROLL
    for (int i = 0; i < M; ++i) {
      SEPC_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[i][v] = load<Vec<T>>(c + i * panel<T>() + v * lanes<T>());
    }
  }
  SEPC_INLINE void write(T* c) const {
    SEPC_UNROLL
    for (int i = 0; i < M; ++i) {
      SEPC_UNROLL
      for (int v = 0; v < kVectors; ++v) store(c + i * panel<T>() + v * lanes<T>(), acc[i][v]);
    }
  }
  /** acc[i] += a[i · Step] · b */
  template <int Step>
  SEPC_INLINE void update(const T* a, const T* b) {
    Vec<T> bv[kVectors];
    SEPC_UNROLL
    for (int v = 0; v < kVectors; ++v) bv[v] = load<Vec<T>>(b + v * lanes<T>());
    SEPC_UNROLL
    for (int i = 0; i < M; ++i) {
      const T ai = a[i * Step];
      SEPC_UNROLL
      for (int v = 0; v < kVectors; ++v) acc[i][v] += ai * bv[v];
    }
  }
};

template <class T, int M>
void multiply_rows(const PanelProduct<T>& p, const T* a, const T* b, T* c) {
  Tile<T, M> tile;
  if (p.accumulate) {
    tile.read(c);
  } else {
    tile.clear();
  }
  for (int64_t tap = 0; tap < p.taps; ++tap) {
    for (int64_t left = p.depth; left > 0; left -= panel<T>()) {
      const int64_t depth = left < panel<T>() ? left : panel<T>();
      for (int64_t k = 0; k < depth; ++k) {
        tile.template update<panel<T>()>(a + k, b);
        b += panel<T>();
      }
      a += p.a_panel_stride;
    }
  }
  tile.write(c);
}

template <class T, int M>
void outer_rows(const OuterProduct<T>& p, const T* a, const T* b, T* c) {
  Tile<T, M> tile;
  tile.read(c);
  for (int64_t k = 0; k < p.depth; ++k) {
    tile.template update<1>(a, b);
    a += p.a_stride;
    b += panel<T>();
  }
  tile.write(c);
}

/** Calls `rows<T, M>` for the M < kRows that is left over at the edge. */
template <class T, int M>
struct Edge {
  static void multiply(int64_t rows, const PanelProduct<T>& p, const T* a, const T* b, T* c) {
    if (rows == M) {
      multiply_rows<T, M>(p, a, b, c);
    } else {
      Edge<T, M - 1>::multiply(rows, p, a, b, c);
    }
  }
  static void outer(int64_t rows, const OuterProduct<T>& p, const T* a, const T* b, T* c) {
    if (rows == M) {
      outer_rows<T, M>(p, a, b, c);
    } else {
      Edge<T, M - 1>::outer(rows, p, a, b, c);
    }
  }
};
template <class T>
struct Edge<T, 0> {
  static void multiply(int64_t, const PanelProduct<T>&, const T*, const T*, T*) {}
  static void outer(int64_t, const OuterProduct<T>&, const T*, const T*, T*) {}
};

template <class T>
void multiply(const PanelProduct<T>& p) {
  constexpr int64_t nr = panel<T>();
  for (int64_t j = 0; j < p.out_panels; ++j) {
    const T* b = p.b + j * p.b_stride;
    T* c = p.c + j * p.c_stride;
    int64_t i = 0;
    for (; i + kRows <= p.rows; i += kRows) multiply_rows<T, kRows>(p, p.a + i * nr, b, c + i * nr);
    Edge<T, kRows - 1>::multiply(p.rows - i, p, p.a + i * nr, b, c + i * nr);
  }
}

template <class T>
void outer(const OuterProduct<T>& p) {
  constexpr int64_t nr = panel<T>();
  for (int64_t j = 0; j < p.out_panels; ++j) {
    const T* b = p.b + j * p.b_stride;
    T* c = p.c + j * p.c_stride;
    int64_t i = 0;
    for (; i + kRows <= p.rows; i += kRows) outer_rows<T, kRows>(p, p.a + i, b, c + i * nr);
    Edge<T, kRows - 1>::outer(p.rows - i, p, p.a + i, b, c + i * nr);
  }
}

}  // namespace
}  // namespace cpu
}  // namespace sepc
