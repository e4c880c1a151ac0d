// Integrated batch normalisation with ReLU on the processor. One task is one channel of all levels and images: it fits
// the second-level cache, so that statistics and result cost one read and one write of memory, and no map is copied.
#include <ATen/ATen.h>

#include <cmath>

#include "../ops.h"
#include "parallel.h"
#include "tiles.h"

namespace sepc {
namespace cpu {
namespace {

/** Value of a channel in a [C] tensor, or what stands for an undefined one. */
template <class T>
struct PerChannel {
  at::Tensor held;
  T missing;
  T operator[](int64_t c) const { return held.defined() ? held.data_ptr<T>()[c] : missing; }
};

template <class T>
PerChannel<T> per_channel(const at::Tensor& tensor, T missing) {
  return {tensor.defined() ? tensor.to(c10::CppTypeToScalarType<T>::value).contiguous() : tensor, missing};
}

/** Pointers into the maps of all levels. */
template <class T>
class Planes {
 public:
  explicit Planes(at::TensorList levels) : channels_(levels[0].size(1)) {
    for (const at::Tensor& level : levels) {
      const int64_t cells = level.size(2) * level.size(3);
      maps_.push_back({level.defined() ? level.data_ptr<T>() : nullptr, level.size(0), cells});
      count_ += level.size(0) * cells;
    }
  }
  int64_t channels() const { return channels_; }
  /** Values of one channel. */
  int64_t count() const { return count_; }

  /** Calls visit(level, offset of the plane in its map, cells). */
  template <class Visit>
  void each(int64_t channel, const Visit& visit) const {
    for (size_t level = 0; level < maps_.size(); ++level) {
      for (int64_t image = 0; image < maps_[level].images; ++image) {
        visit(level, (image * channels_ + channel) * maps_[level].cells, maps_[level].cells);
      }
    }
  }
  T* operator[](size_t level) const { return maps_[level].values; }

 private:
  struct Map {
    T* values;
    int64_t images, cells;
  };
  std::vector<Map> maps_;
  int64_t channels_, count_ = 0;
};

std::vector<at::Tensor> empty_maps(at::TensorList levels) {
  std::vector<at::Tensor> made;
  for (const at::Tensor& level : levels) made.push_back(at::empty(level.sizes(), level.options(), at::MemoryFormat::Contiguous));
  return made;
}

template <class T>
PyramidNorm forward(at::TensorList levels, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const Kernels<T>& k = kernels<T>();
  PyramidNorm result{empty_maps(levels), {}, {}};
  const Planes<T> from(levels), to(result.levels);
  const at::TensorOptions wide = levels[0].options().dtype(at::kDouble);
  result.mean = at::empty({from.channels()}, wide);
  result.variance = at::empty({from.channels()}, wide);
  double *means = result.mean.data_ptr<double>(), *variances = result.variance.data_ptr<double>();
  const PerChannel<T> factor = per_channel<T>(weight, T(1)), summand = per_channel<T>(bias, T(0));
  run_tasks(from.channels(), worker_count(from.channels(), from.channels() * from.count()), [&](int64_t c, int64_t) {
    double sum = 0, squares = 0;
    from.each(c, [&](size_t level, int64_t at, int64_t cells) { sum += k.plane_sum(from[level] + at, cells); });
    const double mean = sum / double(from.count());
    from.each(c, [&](size_t level, int64_t at, int64_t cells) {
      squares += k.plane_squares(from[level] + at, cells, T(mean));
    });
    const double shortfall = mean - double(T(mean));  // what rounding the mean took from every difference
    means[c] = mean;
    variances[c] = squares / double(from.count()) - shortfall * shortfall;
    const double scale = double(factor[c]) / std::sqrt(variances[c] + eps);
    const T shift = T(double(summand[c]) - mean * scale);
    from.each(c, [&](size_t level, int64_t at, int64_t cells) {
      k.plane_normalise(from[level] + at, to[level] + at, cells, T(scale), shift);
    });
  });
  return result;
}

template <class T>
PyramidNormGradients backward(at::TensorList grads, at::TensorList levels, const at::Tensor& weight, const at::Tensor& bias,
                              const at::Tensor& mean, const at::Tensor& variance, double eps) {
  const Kernels<T>& k = kernels<T>();
  PyramidNormGradients result{empty_maps(levels), {}, {}};
  const Planes<T> x(levels), out(grads), to(result.levels);
  const at::TensorOptions options = levels[0].options();
  at::Tensor to_weight = at::empty({x.channels()}, options), to_bias = at::empty({x.channels()}, options);
  const PerChannel<T> factor = per_channel<T>(weight, T(1)), summand = per_channel<T>(bias, T(0));
  const double *means = mean.data_ptr<double>(), *variances = variance.data_ptr<double>();
  T *weights = to_weight.data_ptr<T>(), *biases = to_bias.data_ptr<T>();
  run_tasks(x.channels(), worker_count(x.channels(), x.channels() * x.count()), [&](int64_t c, int64_t) {
    const double inverse = 1 / std::sqrt(variances[c] + eps), scale = double(factor[c]) * inverse;
    PlaneGrad<T> plane{nullptr, nullptr, 0, T(means[c]), T(scale), T(double(summand[c]) - means[c] * scale)};
    const auto place = [&](size_t level, int64_t at, int64_t cells) {
      plane.x = x[level] + at, plane.grad = out[level] + at, plane.count = cells;
    };
    double sums[2] = {0, 0};
    x.each(c, [&](size_t level, int64_t at, int64_t cells) {
      place(level, at, cells);
      k.plane_grad_sums(plane, sums);
    });
    const double count = double(x.count()), shortfall = means[c] - double(T(means[c]));  // see the forward pass
    const double moment = sums[1] - shortfall * sums[0];
    biases[c] = T(sums[0]);
    weights[c] = T(moment * inverse);
    const T slope = T(-scale * inverse * inverse * moment / count);
    const T level_out = T(-scale * sums[0] / count - double(slope) * shortfall);
    x.each(c, [&](size_t level, int64_t at, int64_t cells) {
      place(level, at, cells);
      k.plane_grad(plane, to[level] + at, slope, level_out);
    });
  });
  if (weight.defined()) result.weight = to_weight.to(weight.scalar_type());
  if (bias.defined()) result.bias = to_bias.to(bias.scalar_type());
  return result;
}

std::vector<at::Tensor> dense(at::TensorList maps) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& map : maps) result.push_back(map.contiguous());
  return result;
}

}  // namespace
}  // namespace cpu

bool pyramid_norm_cpu_applies(at::TensorList levels) {
  const at::ScalarType type = levels[0].scalar_type();
  if (type != at::kFloat && type != at::kDouble) return false;
  for (const at::Tensor& level : levels) {
    if (!level.device().is_cpu() || level.layout() != at::kStrided ||
        cpu::format_of(level) != at::MemoryFormat::Contiguous) {
      return false;
    }
  }
  return true;
}

PyramidNorm pyramid_norm_cpu(at::TensorList levels, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  const std::vector<at::Tensor> maps = cpu::dense(levels);
  return levels[0].scalar_type() == at::kFloat ? cpu::forward<float>(maps, weight, bias, eps)
                                               : cpu::forward<double>(maps, weight, bias, eps);
}

PyramidNormGradients pyramid_norm_backward_cpu(at::TensorList grads, at::TensorList levels, const at::Tensor& weight,
                                               const at::Tensor& bias, const at::Tensor& mean, const at::Tensor& variance,
                                               double eps) {
  const std::vector<at::Tensor> maps = cpu::dense(levels);
  std::vector<at::Tensor> out;
  for (size_t i = 0; i < grads.size(); ++i) {
    out.push_back(grads[i].defined() ? grads[i].contiguous() : at::zeros_like(maps[i], at::MemoryFormat::Contiguous));
  }
  return levels[0].scalar_type() == at::kFloat
             ? cpu::backward<float>(out, maps, weight, bias, mean, variance, eps)
             : cpu::backward<double>(out, maps, weight, bias, mean, variance, eps);
}

}  // namespace sepc
