// Deformable convolution on CUDA: columns of a few images at a time, then the library's matrix product.
//
// One thread samples one column value, neighbouring threads neighbouring positions, so that offsets, columns and (for
// small offsets) the input are read in whole lines. The number of images per step bounds the column memory.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/cuda/Atomic.cuh>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cmath>

#include "../ops.h"
#include "columns.cuh"

namespace sepc {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 65535;
constexpr int64_t kColumnBytes = int64_t(256) << 20;

template <class T>
struct AtomicAdd {
  __device__ __forceinline__ void operator()(T* to, T value) const { gpuAtomicAdd(to, value); }
};

template <class T, class A>
__global__ void columns_kernel(int64_t count, Geometry g, Maps<T> maps, T* columns) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    write_column<T, A>(i, g, maps, columns);
  }
}

template <class T, class A>
__global__ void input_gradient_kernel(int64_t count, Geometry g, Maps<T> maps, const T* grad_columns, T* grad_x) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    add_input_gradient<T, A>(i, g, maps, grad_columns, grad_x, AtomicAdd<T>());
  }
}

template <class T, class A>
__global__ void sample_gradient_kernel(int64_t count, Geometry g, Maps<T> maps, const T* grad_columns, T* grad_offset,
                                       T* grad_mask) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < count; i += int64_t(gridDim.x) * blockDim.x) {
    write_sample_gradient<T, A>(i, g, maps, grad_columns, grad_offset, grad_mask);
  }
}

unsigned blocks_for(int64_t count) {
  return static_cast<unsigned>(std::max<int64_t>(1, std::min((count + kThreads - 1) / kThreads, kMostBlocks)));
}

/** Images per step so that columns fit kColumnBytes. */
int64_t images_per_step(const Geometry& g, const at::Tensor& input) {
  const int64_t bytes = g.channels * g.taps() * g.positions() * int64_t(input.element_size());
  return std::max<int64_t>(1, std::min(g.images, kColumnBytes / std::max<int64_t>(1, bytes)));
}

/** The contiguous inputs narrowed to the images of one step. */
struct Step {
  int64_t images;
  at::Tensor input, offset, mask;

  template <class T>
  Maps<T> maps() const {
    return {input.data_ptr<T>(), offset.data_ptr<T>(), mask.defined() ? mask.data_ptr<T>() : nullptr};
  }
};

at::Tensor sample_columns(const Geometry& g, const Step& step) {
  at::Tensor columns = at::empty({step.images, g.groups, g.group_in() * g.taps(), g.positions()}, step.input.options());
  const int64_t count = columns.numel();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, step.input.scalar_type(), "deform_conv2d", [&] {
    columns_kernel<scalar_t, at::opmath_type<scalar_t>>
        <<<blocks_for(count), kThreads, 0, c10::cuda::getCurrentCUDAStream()>>>(count, g, step.maps<scalar_t>(),
                                                                             columns.data_ptr<scalar_t>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return columns;
}

void input_gradient(const Geometry& g, const Step& step, const at::Tensor& grad_columns, at::Tensor grad_x) {
  const int64_t count = grad_columns.numel();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, step.input.scalar_type(), "deform_conv2d", [&] {
    input_gradient_kernel<scalar_t, at::opmath_type<scalar_t>>
        <<<blocks_for(count), kThreads, 0, c10::cuda::getCurrentCUDAStream()>>>(
            count, g, step.maps<scalar_t>(), grad_columns.data_ptr<scalar_t>(), grad_x.data_ptr<scalar_t>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

void sample_gradient(const Geometry& g, const Step& step, const at::Tensor& grad_columns, at::Tensor grad_offset,
                     at::Tensor grad_mask) {
  const int64_t count = step.images * g.offset_groups * g.taps() * g.positions();
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, step.input.scalar_type(), "deform_conv2d", [&] {
    sample_gradient_kernel<scalar_t, at::opmath_type<scalar_t>>
        <<<blocks_for(count), kThreads, 0, c10::cuda::getCurrentCUDAStream()>>>(
            count, g, step.maps<scalar_t>(), grad_columns.data_ptr<scalar_t>(),
            grad_offset.defined() ? grad_offset.data_ptr<scalar_t>() : nullptr,
            grad_mask.defined() ? grad_mask.data_ptr<scalar_t>() : nullptr);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

at::Tensor narrow(const at::Tensor& t, int64_t first, int64_t count) { return t.defined() ? t.narrow(0, first, count) : t; }
at::Tensor contiguous(const at::Tensor& t) { return t.defined() ? t.contiguous() : t; }

}  // namespace
}  // namespace cuda

at::Tensor deform_conv2d_cuda(SEPC_DEFORM_ARGS) {
  const Geometry g = check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  const c10::cuda::CUDAGuard device(input.device());
  at::Tensor out = at::empty({g.images, g.groups, g.group_out(), g.positions()}, input.options());
  const at::Tensor x = input.contiguous(), off = offset.contiguous(), m = cuda::contiguous(value_or_none(mask));
  const at::Tensor kernel = weight.reshape({1, g.groups, g.group_out(), g.group_in() * g.taps()});
  const int64_t per_step = cuda::images_per_step(g, input);
  for (int64_t first = 0; first < g.images; first += per_step) {
    const int64_t count = std::min(per_step, g.images - first);
    const cuda::Step step{count, x.narrow(0, first, count), off.narrow(0, first, count), cuda::narrow(m, first, count)};
    out.narrow(0, first, count).copy_(at::matmul(kernel, cuda::sample_columns(g, step)));
  }
  out = out.view({g.images, g.out_channels, g.out_height, g.out_width});
  const at::Tensor b = value_or_none(bias);
  return b.defined() ? out.add_(b.view({1, -1, 1, 1})) : out;
}

Gradients deform_conv2d_backward_cuda(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> want) {
  const Geometry g = check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  const c10::cuda::CUDAGuard device(input.device());
  const at::Tensor x = input.contiguous(), off = offset.contiguous(), m = cuda::contiguous(value_or_none(mask));
  const at::Tensor kernel = weight.reshape({1, g.groups, g.group_out(), g.group_in() * g.taps()});
  const bool want_mask = want[3] && m.defined();
  if (want[0]) at::globalContext().alertNotDeterministic("sepc::_deform_conv2d_backward");  // atomic additions

  at::Tensor gx, gw, goff, gm, gb;
  if (want[0]) gx = at::zeros_like(x);
  if (want[1]) gw = at::zeros({g.groups, g.group_out(), g.group_in() * g.taps()}, weight.options());
  if (want[2]) goff = at::empty_like(off);
  if (want_mask) gm = at::empty_like(m);
  if (want[4] && bias.has_value() && bias->defined()) gb = grad.sum({0, 2, 3});

  const int64_t per_step = cuda::images_per_step(g, input);
  for (int64_t first = 0; first < g.images; first += per_step) {
    const int64_t count = std::min(per_step, g.images - first);
    const cuda::Step step{count, x.narrow(0, first, count), off.narrow(0, first, count), cuda::narrow(m, first, count)};
    const at::Tensor gy =
        grad.narrow(0, first, count).reshape({count, g.groups, g.group_out(), g.positions()});
    if (want[0] || want[2] || want_mask) {
      const at::Tensor columns = at::matmul(kernel.transpose(2, 3), gy).contiguous();
      if (want[0]) cuda::input_gradient(g, step, columns, gx.narrow(0, first, count));
      if (want[2] || want_mask) {
        cuda::sample_gradient(g, step, columns, cuda::narrow(goff, first, count), cuda::narrow(gm, first, count));
      }
    }
    if (want[1]) gw.add_(at::matmul(gy, cuda::sample_columns(g, step).transpose(2, 3)).sum(0));
  }
  if (want[1]) gw = gw.view(weight.sizes());
  return {gx, gw, goff, gm, gb};
}

}  // namespace sepc
