// Schemas of the operators in the namespace `sepc`, and the kernels that need no arithmetic of their own.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include "cpu/kernels.h"
#include "ops.h"

namespace sepc {

at::Tensor deform_conv2d(SEPC_DEFORM_ARGS) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("sepc::deform_conv2d", "")
                             .typed<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                                               const OptionalTensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef,
                                               int64_t, int64_t)>();
  return op.call(input, weight, offset, mask, bias, stride, padding, dilation, groups, offset_groups);
}

Gradients deform_conv2d_backward(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask) {
  static const auto op =
      c10::Dispatcher::singleton()
          .findSchemaOrThrow("sepc::_deform_conv2d_backward", "")
          .typed<Gradients(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const OptionalTensor&,
                           const OptionalTensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, int64_t, int64_t,
                           std::array<bool, 5>)>();
  return op.call(grad, input, weight, offset, mask, bias, stride, padding, dilation, groups, offset_groups, output_mask);
}

namespace {

at::Tensor shape_only(SEPC_DEFORM_ARGS) {
  const Geometry g = check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  return at::empty({g.images, g.out_channels, g.out_height, g.out_width}, input.options(), input.suggest_memory_format());
}

Gradients backward_shapes_only(const at::Tensor&, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask) {
  check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  const auto like = [](const at::Tensor& t, bool wanted) { return wanted && t.defined() ? at::empty_like(t) : at::Tensor(); };
  return {like(input, output_mask[0]), like(weight, output_mask[1]), like(offset, output_mask[2]),
          like(value_or_none(mask), output_mask[3]), like(value_or_none(bias), output_mask[4])};
}

/** Mixed precision: coordinates lose whole pixels in half precision, so all is computed in float32, as torchvision does. */
template <c10::DispatchKey Key, c10::DeviceType Device>
at::Tensor in_float(SEPC_DEFORM_ARGS) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(Key);
  const auto wide = [](const at::Tensor& t) { return at::autocast::cached_cast(at::kFloat, t, Device); };
  const auto wide_optional = [&](const OptionalTensor& t) -> OptionalTensor {
    return t.has_value() && t->defined() ? OptionalTensor(wide(*t)) : t;
  };
  return deform_conv2d(wide(input), wide(weight), wide(offset), wide_optional(mask), wide_optional(bias), stride, padding,
                       dilation, groups, offset_groups)
      .to(input.scalar_type());
}

}  // namespace

#define SEPC_DEFORM_SCHEMA                                                                                         \
  "Tensor input, Tensor weight, Tensor offset, Tensor? mask, Tensor? bias, int[2] stride=1, int[2] padding=0, " \
  "int[2] dilation=1, int groups=1, int offset_groups=1"

TORCH_LIBRARY(sepc, m) {
  m.def("deform_conv2d(" SEPC_DEFORM_SCHEMA ") -> Tensor");
  m.def("deform_conv2d_composite(" SEPC_DEFORM_SCHEMA ") -> Tensor", &deform_conv2d_composite);
  m.def("_deform_conv2d_backward(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor? mask, Tensor? bias, "
        "int[2] stride, int[2] padding, int[2] dilation, int groups, int offset_groups, bool[5] output_mask) -> "
        "(Tensor, Tensor, Tensor, Tensor, Tensor)");
  m.def("cpu_capability() -> str", [] { return std::string(cpu::capability()); });
  m.def("pyramid_batch_norm_relu(Tensor[] levels, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, "
        "Tensor(b!)? running_var, float momentum, float eps) -> Tensor[]");
  m.def("upsample_add(Tensor base, Tensor small) -> Tensor");
  m.def("_upsample_add_backward(Tensor grad, int[2] size) -> Tensor");
}

TORCH_LIBRARY_IMPL(sepc, CPU, m) {
  m.impl("deform_conv2d", &deform_conv2d_cpu);
  m.impl("_deform_conv2d_backward", &deform_conv2d_backward_cpu);
}

#if defined(SEPC_WITH_CUDA)
TORCH_LIBRARY_IMPL(sepc, CUDA, m) {
  m.impl("deform_conv2d", &deform_conv2d_cuda);
  m.impl("_deform_conv2d_backward", &deform_conv2d_backward_cuda);
}
#endif

// Every device without a kernel of ours.
TORCH_LIBRARY_IMPL(sepc, CompositeExplicitAutograd, m) {
  m.impl("deform_conv2d", &deform_conv2d_composite);
  m.impl("_deform_conv2d_backward", &deform_conv2d_backward_composite);
}

TORCH_LIBRARY_IMPL(sepc, Meta, m) {
  m.impl("deform_conv2d", &shape_only);
  m.impl("_deform_conv2d_backward", &backward_shapes_only);
}

TORCH_LIBRARY_IMPL(sepc, AutocastCPU, m) {
  m.impl("deform_conv2d", &in_float<c10::DispatchKey::AutocastCPU, c10::DeviceType::CPU>);
}

TORCH_LIBRARY_IMPL(sepc, Autocast, m) {
  m.impl("deform_conv2d", &in_float<c10::DispatchKey::Autocast, c10::DeviceType::CUDA>);
}

}  // namespace sepc
