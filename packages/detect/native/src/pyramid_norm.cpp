// pyramid_batch_norm_relu: integrated batch normalisation in training, then ReLU (paper, section 3.3). Statistics are of
// all levels together; each level is read where it lies.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "ops.h"

namespace sepc {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

#define SEPC_PYRAMID_ARGS                                                                                    \
  at::TensorList levels, const OptionalTensor &weight, const OptionalTensor &bias,                           \
      const OptionalTensor &running_mean, const OptionalTensor &running_var, double momentum, double eps

/** Checks the levels and returns how many values each channel has. */
int64_t check_levels(at::TensorList levels) {
  TORCH_CHECK(!levels.empty(), "pyramid_batch_norm_relu: expected at least one level, got none");
  int64_t count = 0;
  for (const at::Tensor& level : levels) {
    TORCH_CHECK(level.dim() == 4, "pyramid_batch_norm_relu: expected levels [N, C, H, W], got shape ", level.sizes());
    TORCH_CHECK(level.size(1) == levels[0].size(1) && level.scalar_type() == levels[0].scalar_type() &&
                    level.device() == levels[0].device(),
                "pyramid_batch_norm_relu: expected levels of one number of channels, type and device, got ",
                levels[0].size(1), " channels, ", levels[0].scalar_type(), ", ", levels[0].device(), " and ", level.size(1),
                " channels, ", level.scalar_type(), ", ", level.device());
    count += level.size(0) * level.size(2) * level.size(3);
  }
  TORCH_CHECK(count > 1, "pyramid_batch_norm_relu: expected more than one value a channel, which else has no variance, got ",
              count, "; use a larger batch, or evaluation mode");
  return count;
}

void check_vector(const char* name, const OptionalTensor& tensor, at::TensorList levels) {
  if (!tensor.has_value() || !tensor->defined()) return;
  TORCH_CHECK(tensor->dim() == 1 && tensor->size(0) == levels[0].size(1), "pyramid_batch_norm_relu: expected ", name, " [",
              levels[0].size(1), "], got ", tensor->sizes());
  TORCH_CHECK(tensor->device() == levels[0].device(), "pyramid_batch_norm_relu: expected ", name, " on the levels' device ",
              levels[0].device(), ", got ", tensor->device());
}

/** From the library's own operators: any device and type, differentiable to any order. */
PyramidNorm composite(at::TensorList levels, const at::Tensor& weight, const at::Tensor& bias, double eps, double count) {
  const bool narrow = levels[0].scalar_type() == at::kHalf || levels[0].scalar_type() == at::kBFloat16;
  const at::ScalarType type = narrow ? at::kFloat : levels[0].scalar_type();
  std::vector<at::Tensor> wide;
  at::Tensor sum, squares;
  for (const at::Tensor& level : levels) {
    wide.push_back(level.to(type));
    const at::Tensor own = wide.back().sum({0, 2, 3}, /*keepdim=*/true);
    sum = sum.defined() ? sum + own : own;
  }
  const at::Tensor mean = sum / count;
  for (at::Tensor& level : wide) {
    level = level - mean;
    const at::Tensor own = (level * level).sum({0, 2, 3}, /*keepdim=*/true);
    squares = squares.defined() ? squares + own : own;
  }
  const at::Tensor variance = squares / count;
  at::Tensor scale = at::rsqrt(variance + eps);
  if (weight.defined()) scale = scale * weight.view({1, -1, 1, 1}).to(type);
  PyramidNorm result;
  for (const at::Tensor& level : wide) {
    const at::Tensor scaled = level * scale;
    const at::Tensor value = bias.defined() ? scaled + bias.view({1, -1, 1, 1}).to(type) : scaled;
    result.levels.push_back(at::relu(value).to(levels[0].scalar_type()));
  }
  result.mean = mean.detach().view({-1}).to(at::kDouble);
  result.variance = variance.detach().view({-1}).to(at::kDouble);
  return result;
}

/** Takes a batch's statistics into the running ones, in place; their variance is the unbiased one. */
void update_running(const PyramidNorm& batch, const OptionalTensor& running_mean, const OptionalTensor& running_var,
                    double momentum, double count) {
  const at::NoGradGuard no_grad;
  if (running_mean.has_value() && running_mean->defined()) {
    running_mean->mul_(1 - momentum).add_(batch.mean.to(running_mean->scalar_type()), momentum);
  }
  if (running_var.has_value() && running_var->defined()) {
    running_var->mul_(1 - momentum).add_(batch.variance.to(running_var->scalar_type()), momentum * count / (count - 1));
  }
}

class PyramidNormRelu : public torch::autograd::Function<PyramidNormRelu> {
 public:
  // `statistics` carries mean and variance back to the caller, who needs them for the running ones.
  static variable_list forward(AutogradContext* ctx, at::TensorList levels, const OptionalTensor& factors,
                               const OptionalTensor& summands, double eps, PyramidNorm* statistics) {
    const at::AutoDispatchBelowADInplaceOrView below;
    const Variable weight = value_or_none(factors), bias = value_or_none(summands);
    *statistics = pyramid_norm_cpu(levels, weight, bias, eps);
    variable_list saved = levels.vec();
    saved.insert(saved.end(), {weight, bias, statistics->mean, statistics->variance});
    ctx->save_for_backward(saved);
    ctx->saved_data["eps"] = eps;
    ctx->set_materialize_grads(false);
    return statistics->levels;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    variable_list saved = ctx->get_saved_variables();
    const size_t count = grads.size();
    const variable_list levels(saved.begin(), saved.begin() + count);
    const Variable weight = saved[count], bias = saved[count + 1];
    const double eps = ctx->saved_data["eps"].toDouble();
    variable_list result(count + 4);
    bool any = false;
    for (const Variable& grad : grads) any = any || grad.defined();
    if (!any) return result;
    if (at::GradMode::is_enabled()) {
      differentiable(grads, levels, weight, bias, eps, result);
      return result;
    }
    const at::AutoDispatchBelowADInplaceOrView below;
    const PyramidNormGradients found =
        pyramid_norm_backward_cpu(grads, levels, weight, bias, saved[count + 2], saved[count + 3], eps);
    std::copy(found.levels.begin(), found.levels.end(), result.begin());
    result[count] = found.weight;
    result[count + 1] = found.bias;
    return result;
  }

 private:
  /** The gradients as a function that can be differentiated again. */
  static void differentiable(const variable_list& grads, const variable_list& levels, const Variable& weight,
                             const Variable& bias, double eps, variable_list& result) {
    variable_list inputs = levels, wanted, outputs, seeds;
    inputs.insert(inputs.end(), {weight, bias});
    std::vector<size_t> places;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!inputs[i].defined() || !inputs[i].requires_grad()) continue;
      wanted.push_back(inputs[i]);
      places.push_back(i);
    }
    const PyramidNorm again = composite(levels, weight, bias, eps, double(check_levels(levels)));
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!grads[i].defined()) continue;
      outputs.push_back(again.levels[i]);
      seeds.push_back(grads[i]);
    }
    const variable_list found = torch::autograd::grad(outputs, wanted, seeds, /*retain_graph=*/true, /*create_graph=*/true,
                                                      /*allow_unused=*/true);
    for (size_t i = 0; i < places.size(); ++i) result[places[i]] = found[i];
  }
};

int64_t check_all(SEPC_PYRAMID_ARGS) {
  (void)momentum, (void)eps;
  const int64_t count = check_levels(levels);
  check_vector("weight", weight, levels);
  check_vector("bias", bias, levels);
  check_vector("running_mean", running_mean, levels);
  check_vector("running_var", running_var, levels);
  return count;
}

std::vector<at::Tensor> pyramid_plain(SEPC_PYRAMID_ARGS) {
  const int64_t count = check_all(levels, weight, bias, running_mean, running_var, momentum, eps);
  const at::Tensor w = value_or_none(weight), b = value_or_none(bias);
  const PyramidNorm result =
      pyramid_norm_cpu_applies(levels) ? pyramid_norm_cpu(levels, w, b, eps) : composite(levels, w, b, eps, double(count));
  update_running(result, running_mean, running_var, momentum, double(count));
  return result.levels;
}

std::vector<at::Tensor> pyramid_autograd(SEPC_PYRAMID_ARGS) {
  const int64_t count = check_all(levels, weight, bias, running_mean, running_var, momentum, eps);
  const at::Tensor w = value_or_none(weight), b = value_or_none(bias);
  PyramidNorm result;
  if (pyramid_norm_cpu_applies(levels)) {
    const variable_list maps = PyramidNormRelu::apply(levels, weight, bias, eps, &result);
    result.levels = maps;
  } else {
    result = composite(levels, w, b, eps, double(count));
  }
  update_running(result, running_mean, running_var, momentum, double(count));
  return result.levels;
}

std::vector<at::Tensor> pyramid_shapes(SEPC_PYRAMID_ARGS) {
  check_all(levels, weight, bias, running_mean, running_var, momentum, eps);
  std::vector<at::Tensor> made;
  for (const at::Tensor& level : levels) made.push_back(at::empty_like(level));
  return made;
}

}  // namespace

TORCH_LIBRARY_IMPL(sepc, CompositeExplicitAutograd, m) { m.impl("pyramid_batch_norm_relu", &pyramid_plain); }
TORCH_LIBRARY_IMPL(sepc, Meta, m) { m.impl("pyramid_batch_norm_relu", &pyramid_shapes); }
TORCH_LIBRARY_IMPL(sepc, Autograd, m) { m.impl("pyramid_batch_norm_relu", &pyramid_autograd); }

}  // namespace sepc
