// The operators' C++ faces: one declaration per registered kernel.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <tuple>
#include <vector>

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

/** base [N, C, H, W] + small [N, C, h, w] upsampled to H x W (bilinear, corners aligned), through the dispatcher. */
at::Tensor upsample_add(const at::Tensor& base, const at::Tensor& small);
at::Tensor upsample_add_cpu(const at::Tensor& base, const at::Tensor& small);
at::Tensor upsample_add_composite(const at::Tensor& base, const at::Tensor& small);
/** Gradient of upsample_add to `small`, whose height and width are `size`. */
at::Tensor upsample_add_backward(const at::Tensor& grad, at::IntArrayRef size);
at::Tensor upsample_add_backward_cpu(const at::Tensor& grad, at::IntArrayRef size);
at::Tensor upsample_add_backward_composite(const at::Tensor& grad, at::IntArrayRef size);
void check_upsample(const at::Tensor& base, const at::Tensor& small);

/** Normalised maps of all levels, and the statistics that they share: mean and biased variance, float64 [C]. */
struct PyramidNorm {
  std::vector<at::Tensor> levels;
  at::Tensor mean, variance;
};

/** Integrated batch normalisation (paper, section 3.3) with ReLU; weight and bias [C] or undefined. */
PyramidNorm pyramid_norm_cpu(at::TensorList levels, const at::Tensor& weight, const at::Tensor& bias, double eps);
/** Gradients to the levels, weight and bias; an undefined entry of `grads` stands for zeros. */
struct PyramidNormGradients {
  std::vector<at::Tensor> levels;
  at::Tensor weight, bias;
};
PyramidNormGradients pyramid_norm_backward_cpu(at::TensorList grads, at::TensorList levels, const at::Tensor& weight,
                                               const at::Tensor& bias, const at::Tensor& mean, const at::Tensor& variance,
                                               double eps);
/** Whether the two above take these levels: dense float32 or float64 maps in the processor's memory. */
bool pyramid_norm_cpu_applies(at::TensorList levels);

#if defined(SEPC_WITH_CUDA)
at::Tensor deform_conv2d_cuda(SEPC_DEFORM_ARGS);
Gradients deform_conv2d_backward_cuda(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask);
#endif

}  // namespace sepc
