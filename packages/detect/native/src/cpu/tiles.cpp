#include "tiles.h"

#include <ATen/ATen.h>

#include "parallel.h"

namespace sepc {
namespace cpu {
namespace {

/** Transposes `images` matrices [rows, columns], each cut into strips of columns for the threads. */
template <class T>
void transpose_images(const T* from, T* to, int64_t images, int64_t rows, int64_t columns) {
  const Kernels<T>& k = kernels<T>();
  const int64_t strip = 256, strips = ceil_div(columns, strip);
  run_tasks(images * strips, worker_count(images * strips), [&](int64_t task, int64_t) {
    const int64_t image = task / strips, first = task % strips * strip;
    k.transpose(from + image * rows * columns + first, columns, to + image * rows * columns + first * rows, rows, rows,
                std::min(strip, columns - first));
  });
}

}  // namespace

template <class T>
at::Tensor to_rows(const at::Tensor& map) {
  const int64_t n = map.size(0), c = map.size(1), pixels = map.size(2) * map.size(3);
  if (map.is_contiguous(at::MemoryFormat::ChannelsLast)) return map.permute({0, 2, 3, 1}).view({n * pixels, c});
  const at::Tensor dense = map.contiguous();
  at::Tensor rows = at::empty({n * pixels, c}, map.options().memory_format(c10::nullopt));
  transpose_images<T>(dense.data_ptr<T>(), rows.data_ptr<T>(), n, c, pixels);
  return rows;
}

template <class T>
at::Tensor from_rows(const at::Tensor& rows, at::IntArrayRef sizes, at::MemoryFormat format) {
  const int64_t n = sizes[0], c = sizes[1], pixels = sizes[2] * sizes[3];
  if (format == at::MemoryFormat::ChannelsLast) return rows.view({n, sizes[2], sizes[3], c}).permute({0, 3, 1, 2});
  at::Tensor map = at::empty(sizes, rows.options());
  transpose_images<T>(rows.data_ptr<T>(), map.data_ptr<T>(), n, pixels, c);
  return map;
}

std::vector<Chunk> cut_channels(const Geometry& g, int64_t panel, int64_t widest) {
  std::vector<Chunk> chunks;
  for (int64_t first = 0; first < g.channels;) {
    const int64_t group = first / g.group_in(), offset_group = first / g.offset_group_size();
    const int64_t end = std::min((group + 1) * g.group_in(), (offset_group + 1) * g.offset_group_size());
    const int64_t parts = ceil_div(end - first, widest);
    const int64_t width = std::min(widest, round_up(ceil_div(end - first, parts), panel));
    for (; first < end; first += width) chunks.push_back({group, offset_group, first, std::min(width, end - first)});
    first = end;
  }
  return chunks;
}

template at::Tensor to_rows<float>(const at::Tensor&);
template at::Tensor to_rows<double>(const at::Tensor&);
template at::Tensor from_rows<float>(const at::Tensor&, at::IntArrayRef, at::MemoryFormat);
template at::Tensor from_rows<double>(const at::Tensor&, at::IntArrayRef, at::MemoryFormat);

}  // namespace cpu
}  // namespace sepc
