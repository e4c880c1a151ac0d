// upsample_add on the processor, for contiguous maps: one pass that reads and writes each output value once.
#include <ATen/ATen.h>

#include "../ops.h"
#include "parallel.h"
#include "tiles.h"

namespace sepc {
namespace cpu {
namespace {

/** Source coordinate of each output index with the corner centres aligned: i · (from - 1) / (to - 1). */
template <class T>
struct Axis {
  std::vector<int32_t> low;
  std::vector<T> fraction;

  Axis(int64_t from, int64_t to) : low(to), fraction(to) {
    const T scale = to > 1 ? T(from - 1) / T(to - 1) : T(0);
    for (int64_t i = 0; i < to; ++i) {
      const T at = scale * T(i);
      low[i] = int32_t(std::min<int64_t>(int64_t(at), from - 1));
      fraction[i] = std::min(at - T(low[i]), T(1));
    }
  }
};

/** Calls work(first plane, last plane, scratch row) on the threads. */
template <class T, class Work>
void over_planes(int64_t planes, int64_t cells, int64_t width, const Work& work) {
  const int64_t workers = worker_count(planes, planes * cells), tasks = std::min(planes, 4 * workers);
  Scratch scratch(workers * Scratch::size<T>(width + 1));
  std::vector<T*> mixed;
  for (int64_t slot = 0; slot < workers; ++slot) mixed.push_back(scratch.take<T>(width + 1));
  run_tasks(tasks, workers, [&](int64_t task, int64_t slot) {
    work(planes * task / tasks, planes * (task + 1) / tasks, mixed[slot]);
  });
}

/** Where the planes of a map lie; the rows of one are contiguous, so that parts of a wider map need no copy. */
template <class T>
class PlaneTable {
 public:
  explicit PlaneTable(const at::Tensor& map)
      : values_(map.data_ptr<T>()), channels_(map.size(1)), image_(map.stride(0)), channel_(map.stride(1)) {}
  T* operator[](int64_t plane) const { return values_ + plane / channels_ * image_ + plane % channels_ * channel_; }

 private:
  T* values_;
  int64_t channels_, image_, channel_;
};

/** The map itself where its planes are contiguous, else a copy. */
at::Tensor with_planes(const at::Tensor& map) {
  const bool dense = (map.size(3) == 1 || map.stride(3) == 1) && (map.size(2) == 1 || map.stride(2) == map.size(3));
  return dense ? map : map.contiguous();
}

template <class T>
void upsample_add_planes(const at::Tensor& base, const at::Tensor& small, at::Tensor& out) {
  const int64_t height = small.size(2), width = small.size(3), out_height = out.size(2), out_width = out.size(3);
  const Kernels<T>& k = kernels<T>();
  const Axis<T> ys(height, out_height), xs(width, out_width);
  const PlaneTable<T> b(base), s(small), o(out);
  over_planes<T>(out.size(0) * out.size(1), out_height * out_width, width, [&](int64_t first, int64_t last, T* mixed) {
    ResizeRow<T> row{width, out_width, xs.low.data(), xs.fraction.data(), T(0), mixed};
    for (int64_t plane = first; plane < last; ++plane) {
      const T *source = s[plane], *under = b[plane];
      T* target = o[plane];
      for (int64_t y = 0; y < out_height; ++y) {
        const int64_t top = ys.low[y], bottom = std::min(top + 1, height - 1), at = y * out_width;
        row.fy = ys.fraction[y];
        k.upsample_row(row, source + top * width, source + bottom * width, under + at, target + at);
      }
    }
  });
}

template <class T>
void upsample_adjoint_planes(const at::Tensor& grad, at::Tensor& small) {
  const int64_t height = small.size(2), width = small.size(3), out_height = grad.size(2), out_width = grad.size(3);
  const Kernels<T>& k = kernels<T>();
  const Axis<T> ys(height, out_height), xs(width, out_width);
  const PlaneTable<T> g(grad), s(small);
  over_planes<T>(grad.size(0) * grad.size(1), out_height * out_width, width, [&](int64_t first, int64_t last, T* mixed) {
    ResizeRow<T> row{width, out_width, xs.low.data(), xs.fraction.data(), T(0), mixed};
    for (int64_t plane = first; plane < last; ++plane) {
      const T* from = g[plane];
      T* target = s[plane];
      for (int64_t y = 0; y < out_height; ++y) {
        const int64_t top = ys.low[y], bottom = std::min(top + 1, height - 1);
        row.fy = ys.fraction[y];
        k.upsample_row_adjoint(row, from + y * out_width, target + top * width, target + bottom * width);
      }
    }
  });
}

/** The library's own kernel is good where channels lie together, and has the element types that we do not. */
bool planes_apply(const at::Tensor& map) {
  return (map.scalar_type() == at::kFloat || map.scalar_type() == at::kDouble) &&
         format_of(map) == at::MemoryFormat::Contiguous;
}

}  // namespace
}  // namespace cpu

at::Tensor upsample_add_cpu(const at::Tensor& base, const at::Tensor& small) {
  check_upsample(base, small);
  if (!cpu::planes_apply(base)) return upsample_add_composite(base, small);
  at::Tensor out = at::empty(base.sizes(), base.options(), at::MemoryFormat::Contiguous);
  if (out.numel() == 0) return out;
  const at::Tensor b = cpu::with_planes(base), s = cpu::with_planes(small);
  base.scalar_type() == at::kFloat ? cpu::upsample_add_planes<float>(b, s, out) : cpu::upsample_add_planes<double>(b, s, out);
  return out;
}

at::Tensor upsample_add_backward_cpu(const at::Tensor& grad, at::IntArrayRef size) {
  if (!cpu::planes_apply(grad)) return upsample_add_backward_composite(grad, size);
  at::Tensor small = at::zeros({grad.size(0), grad.size(1), size[0], size[1]}, grad.options());
  if (grad.numel() == 0) return small;
  const at::Tensor g = cpu::with_planes(grad);
  grad.scalar_type() == at::kFloat ? cpu::upsample_adjoint_planes<float>(g, small)
                                   : cpu::upsample_adjoint_planes<double>(g, small);
  return small;
}

}  // namespace sepc
