// Shapes without values: kernels of libtorch's own operators for the device "meta", where this libtorch has none.
//
// PyTorch registers them from Python. With them a whole network runs on "meta" in microseconds, which is how its
// multiply-adds are counted (analysis/flops.ts).
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace sepc {
namespace {

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight, const c10::optional<at::Tensor>&,
                       at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                       at::IntArrayRef output_padding, int64_t groups) {
  std::vector<int64_t> sizes = {input.size(0), transposed ? weight.size(1) * groups : weight.size(0)};
  for (int64_t i = 0; i + 2 < input.dim(); ++i) {
    const int64_t size = input.size(i + 2), window = dilation[i] * (weight.size(i + 2) - 1) + 1;
    sizes.push_back(transposed ? (size - 1) * stride[i] - 2 * padding[i] + window + output_padding[i]
                               : (size + 2 * padding[i] - window) / stride[i] + 1);
  }
  return at::empty(sizes, input.options());
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm(const at::Tensor& input, const c10::optional<at::Tensor>&,
                                                          const c10::optional<at::Tensor>&,
                                                          const c10::optional<at::Tensor>&,
                                                          const c10::optional<at::Tensor>&, bool training, double, double) {
  const at::Tensor statistics = at::empty({training ? input.size(1) : 0}, input.options().memory_format(c10::nullopt));
  return {at::empty_like(input), statistics, at::empty_like(statistics)};
}

at::Tensor relu(const at::Tensor& input) { return at::empty_like(input); }
at::Tensor& relu_(at::Tensor& input) { return input; }

bool missing(const char* name) {
  const auto op = c10::Dispatcher::singleton().findSchema({std::string("aten::") + name, ""});
  return op.has_value() && !op->hasKernelForDispatchKey(c10::DispatchKey::Meta);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, Meta, m) {
  if (missing("convolution_overrideable")) m.impl("convolution_overrideable", &convolution);
  if (missing("native_batch_norm")) m.impl("native_batch_norm", &batch_norm);
  if (missing("relu")) m.impl("relu", &relu);
  if (missing("relu_")) m.impl("relu_", &relu_);
}

}  // namespace sepc
