// Derivatives, registered in C++ so that every caller of the dispatcher has them.
//
// The first derivative is the backward kernel. Where a derivative of that is asked for (create_graph), the gradient is
// instead taken through the composite, which is differentiable to any order.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "ops.h"

namespace sepc {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

class DeformConv2d : public torch::autograd::Function<DeformConv2d> {
 public:
  static Variable forward(AutogradContext* ctx, const Variable& input, const Variable& weight, const Variable& offset,
                          const OptionalTensor& mask, const OptionalTensor& bias, at::IntArrayRef stride, at::IntArrayRef padding,
                          at::IntArrayRef dilation, int64_t groups, int64_t offset_groups) {
    ctx->save_for_backward({input, weight, offset, value_or_none(mask), value_or_none(bias)});
    ctx->saved_data["stride"] = stride.vec();
    ctx->saved_data["padding"] = padding.vec();
    ctx->saved_data["dilation"] = dilation.vec();
    ctx->saved_data["groups"] = groups;
    ctx->saved_data["offset_groups"] = offset_groups;
    const at::AutoDispatchBelowADInplaceOrView below;
    return deform_conv2d(input, weight, offset, mask, bias, stride, padding, dilation, groups, offset_groups);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    variable_list result(10);
    if (!grads[0].defined()) return result;
    const std::vector<int64_t> stride = ctx->saved_data["stride"].toIntVector();
    const std::vector<int64_t> padding = ctx->saved_data["padding"].toIntVector();
    const std::vector<int64_t> dilation = ctx->saved_data["dilation"].toIntVector();
    const int64_t groups = ctx->saved_data["groups"].toInt(), offset_groups = ctx->saved_data["offset_groups"].toInt();

    if (at::GradMode::is_enabled()) {
      const at::Tensor out = deform_conv2d_composite(saved[0], saved[1], saved[2], optional(saved[3]), optional(saved[4]),
                                                     stride, padding, dilation, groups, offset_groups);
      variable_list wanted;
      std::vector<size_t> places;
      for (size_t i = 0; i < saved.size(); ++i) {
        if (!saved[i].defined() || !saved[i].requires_grad()) continue;
        wanted.push_back(saved[i]);
        places.push_back(i);
      }
      const variable_list found =
          torch::autograd::grad({out}, wanted, {grads[0]}, /*retain_graph=*/true, /*create_graph=*/true, /*allow_unused=*/true);
      for (size_t i = 0; i < places.size(); ++i) result[places[i]] = found[i];
      return result;
    }

    std::array<bool, 5> wanted;
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = saved[i].defined() && saved[i].requires_grad();
    const at::AutoDispatchBelowADInplaceOrView below;
    std::tie(result[0], result[1], result[2], result[3], result[4]) =
        deform_conv2d_backward(grads[0], saved[0], saved[1], saved[2], optional(saved[3]), optional(saved[4]), stride,
                               padding, dilation, groups, offset_groups, wanted);
    return result;
  }

 private:
  static OptionalTensor optional(const Variable& tensor) {
    return tensor.defined() ? OptionalTensor(tensor) : OptionalTensor();
  }
};

at::Tensor deform_conv2d_autograd(SEPC_DEFORM_ARGS) {
  return DeformConv2d::apply(input, weight, offset, mask, bias, stride, padding, dilation, groups, offset_groups);
}

}  // namespace

TORCH_LIBRARY_IMPL(sepc, Autograd, m) {
  m.impl("deform_conv2d", &deform_conv2d_autograd);
  m.impl("_deform_conv2d_backward", torch::autograd::autogradNotImplementedFallback());
}

}  // namespace sepc
