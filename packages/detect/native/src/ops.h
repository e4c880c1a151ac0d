// The operators' C++ faces: one declaration per registered kernel.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <tuple>

#include "geometry.h"

namespace sepc {

using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;  // input, weight, offset, mask, bias

// Arguments shared by the kernels below, in the order of the schema.
#define SEPC_DEFORM_ARGS                                                                                    \
  const at::Tensor &input, const at::Tensor &weight, const at::Tensor &offset, const OptionalTensor &mask, \
      const OptionalTensor &bias, at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, int64_t groups, \
      int64_t offset_groups

/** Through the dispatcher: autograd, autocast and the device's kernel apply. */
at::Tensor deform_conv2d(SEPC_DEFORM_ARGS);
Gradients deform_conv2d_backward(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask);

at::Tensor deform_conv2d_cpu(SEPC_DEFORM_ARGS);
Gradients deform_conv2d_backward_cpu(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask);

/** The same function from the library's own operators: any device, differentiable to any order, slow. */
at::Tensor deform_conv2d_composite(SEPC_DEFORM_ARGS);
Gradients deform_conv2d_backward_composite(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask);

#if defined(SEPC_WITH_CUDA)
at::Tensor deform_conv2d_cuda(SEPC_DEFORM_ARGS);
Gradients deform_conv2d_backward_cuda(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask);
#endif

}  // namespace sepc
