// The inner loops of deformable convolution, behind one table of functions per instruction set.
//
// Vocabulary. A *tile* is up to P consecutive output positions of one image. A *panel* is `panel` (NR) consecutive
// channels; a tile's matrix is stored panel by panel, [panels][P][NR], so a panel's rows are contiguous. Every matrix
// product below reads one side by broadcast from such rows and the other as vectors, and needs no further packing.
#pragma once

#include <cstdint>

namespace sepc {
namespace cpu {

/** Where one kernel tap samples, for each position of a tile. Arrays of `positions` elements. */
template <class T>
struct TapPlan {
  int32_t* corner[4];  // pixel y·W + x of the corners (0,0) (0,1) (1,0) (1,1), or -1 where it lies outside
  T* weight[4];        // bilinear weight times mask
  T* fy;               // fractional parts, NaN where a coordinate is NaN
  T* fx;
  T* mask;  // null without a mask
};

template <class T>
struct PlanArgs {
  TapPlan<T> plan;
  int64_t positions;
  const T* base_y;  // coordinate of the window's origin per position
  const T* base_x;
  T tap_y, tap_x;  // tap index times dilation
  const T* offset_y;
  const T* offset_x;
  const T* mask;  // null without a mask
  int64_t height, width;
};

/** columns[p][c] = Σ_corner weight · x[corner][c], written in panels. */
template <class T>
struct SampleArgs {
  TapPlan<T> plan;
  int64_t positions;
  const T* x;  // first channel of pixel 0
  int64_t pixel_stride;
  int64_t channels;
  const T* zeros;  // a row of zeros that stands for pixels outside
  T* columns;
  int64_t panel_stride;  // P·NR
};

/** Everything that one tap's column gradient leads to. Null pointers switch parts off. */
template <class T>
struct ScatterArgs {
  SampleArgs<T> sample;    // sample.columns null: do not resample
  const T* grad_columns;   // null: only resample
  T* grad_x;               // same layout as sample.x
  T* trash;                // a row that takes gradients of pixels outside
  T* grad_offset_y;        // accumulated; null: no offset gradient
  T* grad_offset_x;
  T* grad_mask;            // accumulated
};

/** c[j][i][0..NR) (+)= Σ_k a(i,k) · b[j][k][0..NR), j over output panels, i over the tile's rows. */
template <class T>
struct PanelProduct {
  int64_t rows;
  // a: `taps` groups of ceil(depth/NR) panels, each group holding `depth` values of k per row
  const T* a;
  int64_t a_panel_stride;
  int64_t taps, depth;
  const T* b;
  int64_t b_stride;  // between output panels
  T* c;
  int64_t c_stride;
  int64_t out_panels;
  bool accumulate;
};

/** c[j][i][0..NR) += Σ_k a[k·a_stride + i] · b[j][k][0..NR): a product over the tile's positions k. */
template <class T>
struct OuterProduct {
  int64_t rows, depth;
  const T* a;
  int64_t a_stride;
  const T* b;
  int64_t b_stride;
  T* c;
  int64_t c_stride;
  int64_t out_panels;
};

/** One row of a bilinear upsampling; `left` and `fx` say where each output column falls. */
template <class T>
struct ResizeRow {
  int64_t width, out_width;
  const int32_t* left;
  const T* fx;
  T fy;
  T* mixed;  // scratch of width + 1
};

/** One channel of one map on the way back through normalisation and ReLU. */
template <class T>
struct PlaneGrad {
  const T* x;
  const T* grad;
  int64_t count;
  T mean;
  T scale, shift;  // of the forward pass: max(scale · x + shift, 0)
};

template <class T>
struct Kernels {
  int64_t rows;   // MR: tiles are best a multiple of it
  int64_t panel;  // NR
  void (*plan)(const PlanArgs<T>&);
  void (*sample)(const SampleArgs<T>&);
  void (*scatter)(const ScatterArgs<T>&);
  void (*multiply)(const PanelProduct<T>&);
  void (*outer)(const OuterProduct<T>&);
  /** to[c·to_stride + r] = from[r·from_stride + c] */
  void (*transpose)(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t rows, int64_t columns);
  /** out = base + upsampled row */
  void (*upsample_row)(const ResizeRow<T>&, const T* top, const T* bottom, const T* base, T* out);
  void (*upsample_row_adjoint)(const ResizeRow<T>&, const T* grad, T* top, T* bottom);
  double (*plane_sum)(const T* x, int64_t count);
  /** Σ (x - mean)² */
  double (*plane_squares)(const T* x, int64_t count, T mean);
  void (*plane_normalise)(const T* x, T* y, int64_t count, T scale, T shift);
  void (*plane_grad_sums)(const PlaneGrad<T>&, double* sums);
  void (*plane_grad)(const PlaneGrad<T>&, T* out, T slope, T level);
};

/** The widest table this processor can run; SEPC_CPU_CAPABILITY=default|avx2|avx512 lowers it. */
template <class T>
const Kernels<T>& kernels();

/** Name of the table in use: "default", "avx2" or "avx512". */
const char* capability();

}  // namespace cpu
}  // namespace sepc
