// upsample_add: the sum of a map and a coarser one, as PConv adds the level above (paper, section 3.1): bilinear with
// aligned corners to the exact size of the finer map. One operator instead of two saves a pass over the finer map.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "ops.h"

namespace sepc {

void check_upsample(const at::Tensor& base, const at::Tensor& small) {
  TORCH_CHECK(base.dim() == 4 && small.dim() == 4, "upsample_add: expected base [N, C, H, W] and small [N, C, h, w], got ",
              base.sizes(), " and ", small.sizes());
  TORCH_CHECK(base.size(0) == small.size(0) && base.size(1) == small.size(1),
              "upsample_add: expected equal images and channels, got ", base.sizes(), " and ", small.sizes());
  TORCH_CHECK(base.scalar_type() == small.scalar_type() && base.device() == small.device(),
              "upsample_add: expected one type and device, got ", base.scalar_type(), " on ", base.device(), " and ",
              small.scalar_type(), " on ", small.device());
  TORCH_CHECK(small.size(2) > 0 && small.size(3) > 0, "upsample_add: expected a non-empty small map, got ", small.sizes());
}

at::Tensor upsample_add(const at::Tensor& base, const at::Tensor& small) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("sepc::upsample_add", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&)>();
  return op.call(base, small);
}

at::Tensor upsample_add_backward(const at::Tensor& grad, at::IntArrayRef size) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("sepc::_upsample_add_backward", "")
                             .typed<at::Tensor(const at::Tensor&, at::IntArrayRef)>();
  return op.call(grad, size);
}

at::Tensor upsample_add_composite(const at::Tensor& base, const at::Tensor& small) {
  check_upsample(base, small);
  if (base.numel() == 0) return base.clone();
  return at::upsample_bilinear2d(small, {base.size(2), base.size(3)}, /*align_corners=*/true).add_(base);
}

at::Tensor upsample_add_backward_composite(const at::Tensor& grad, at::IntArrayRef size) {
  if (grad.numel() == 0) return at::zeros({grad.size(0), grad.size(1), size[0], size[1]}, grad.options());
  return at::upsample_bilinear2d_backward(grad, {grad.size(2), grad.size(3)},
                                          {grad.size(0), grad.size(1), size[0], size[1]}, /*align_corners=*/true);
}

namespace {

at::Tensor upsample_shape(const at::Tensor& base, const at::Tensor& small) {
  check_upsample(base, small);
  return at::empty_like(base);
}

at::Tensor upsample_backward_shape(const at::Tensor& grad, at::IntArrayRef size) {
  return at::empty({grad.size(0), grad.size(1), size[0], size[1]}, grad.options());
}

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/** The gradient to `small` is linear in its argument; its own derivative is the upsampling itself. */
class UpsampleBackward : public torch::autograd::Function<UpsampleBackward> {
 public:
  static Variable forward(AutogradContext* ctx, const Variable& grad, at::IntArrayRef size) {
    ctx->saved_data["height"] = grad.size(2);
    ctx->saved_data["width"] = grad.size(3);
    const at::AutoDispatchBelowADInplaceOrView below;
    return upsample_add_backward(grad, size);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    if (!grads[0].defined()) return {Variable(), Variable()};
    const int64_t height = ctx->saved_data["height"].toInt(), width = ctx->saved_data["width"].toInt();
    return {at::upsample_bilinear2d(grads[0], {height, width}, /*align_corners=*/true), Variable()};
  }
};

class UpsampleAdd : public torch::autograd::Function<UpsampleAdd> {
 public:
  static Variable forward(AutogradContext* ctx, const Variable& base, const Variable& small) {
    ctx->saved_data["height"] = small.size(2);
    ctx->saved_data["width"] = small.size(3);
    const at::AutoDispatchBelowADInplaceOrView below;
    return upsample_add(base, small);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    if (!grads[0].defined()) return {Variable(), Variable()};
    const int64_t size[2] = {ctx->saved_data["height"].toInt(), ctx->saved_data["width"].toInt()};
    Variable to_small;
    if (ctx->needs_input_grad(1)) to_small = upsample_add_backward(grads[0], size);
    return {grads[0], to_small};
  }
};

at::Tensor upsample_add_autograd(const at::Tensor& base, const at::Tensor& small) {
  check_upsample(base, small);
  return UpsampleAdd::apply(base, small);
}

at::Tensor upsample_add_backward_autograd(const at::Tensor& grad, at::IntArrayRef size) {
  return UpsampleBackward::apply(grad, size);
}

}  // namespace

TORCH_LIBRARY_IMPL(sepc, CPU, m) {
  m.impl("upsample_add", &upsample_add_cpu);
  m.impl("_upsample_add_backward", &upsample_add_backward_cpu);
}
TORCH_LIBRARY_IMPL(sepc, CompositeExplicitAutograd, m) {
  m.impl("upsample_add", &upsample_add_composite);
  m.impl("_upsample_add_backward", &upsample_add_backward_composite);
}
TORCH_LIBRARY_IMPL(sepc, Meta, m) {
  m.impl("upsample_add", &upsample_shape);
  m.impl("_upsample_add_backward", &upsample_backward_shape);
}
TORCH_LIBRARY_IMPL(sepc, Autograd, m) {
  m.impl("upsample_add", &upsample_add_autograd);
  m.impl("_upsample_add_backward", &upsample_add_backward_autograd);
}

}  // namespace sepc
