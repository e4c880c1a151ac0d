// Sizes of one deformable convolution, checked once at the border; everything behind trusts them.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Optional.h>

#include <optional>

namespace sepc {

using OptionalTensor = c10::optional<at::Tensor>;

/** Hyper-parameters as they come through the dispatcher: (vertical, horizontal). */
struct Settings {
  at::IntArrayRef stride, padding, dilation;
  int64_t groups, offset_groups;
};

struct Geometry {
  int64_t images, channels, height, width;
  int64_t out_channels, out_height, out_width;
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
  int64_t groups, offset_groups;

  int64_t taps() const { return kernel_h * kernel_w; }
  int64_t pixels() const { return height * width; }
  int64_t positions() const { return out_height * out_width; }
  int64_t group_in() const { return channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
  int64_t offset_group_size() const { return channels / offset_groups; }
};

/**
 * Sizes of input [N, C, H, W], weight [O, C/groups, kH, kW], offset [N, 2·offset_groups·kH·kW, Ho, Wo],
 * mask [N, offset_groups·kH·kW, Ho, Wo] and bias [O]. Throws c10::Error naming what was expected and what came.
 */
Geometry check_geometry(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& offset,
                        const OptionalTensor& mask, const OptionalTensor& bias, const Settings& settings);

/** The tensor, or an undefined one. */
inline at::Tensor value_or_none(const OptionalTensor& tensor) {
  return tensor.has_value() ? *tensor : at::Tensor();
}

}  // namespace sepc
