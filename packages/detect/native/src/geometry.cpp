#include "geometry.h"

#include <c10/util/Exception.h>

#include <limits>

namespace sepc {
namespace {

void check_pair(const char* name, at::IntArrayRef pair, int64_t least) {
  TORCH_CHECK(pair.size() == 2, "deform_conv2d: expected ", name, " of two numbers (vertical, horizontal), got ",
              pair.size());
  TORCH_CHECK(pair[0] >= least && pair[1] >= least, "deform_conv2d: expected ", name, " of at least ", least, ", got [",
              pair[0], ", ", pair[1], "]");
}

int64_t out_size(const char* axis, int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  const int64_t window = dilation * (kernel - 1) + 1;
  TORCH_CHECK(size + 2 * pad >= window, "deform_conv2d: expected a padded input ", axis, " of at least ", window,
              " (dilated kernel), got ", size + 2 * pad);
  return (size + 2 * pad - window) / stride + 1;
}

void check_like(const char* name, const at::Tensor& tensor, const at::Tensor& input) {
  TORCH_CHECK(tensor.scalar_type() == input.scalar_type(), "deform_conv2d: expected ", name, " of the input's type ",
              input.scalar_type(), ", got ", tensor.scalar_type());
  TORCH_CHECK(tensor.device() == input.device(), "deform_conv2d: expected ", name, " on the input's device ",
              input.device(), ", got ", tensor.device());
}

}  // namespace

Geometry check_geometry(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& offset,
                        const OptionalTensor& mask, const OptionalTensor& bias, const Settings& s) {
  TORCH_CHECK(input.dim() == 4, "deform_conv2d: expected input [N, C, H, W], got shape ", input.sizes());
  TORCH_CHECK(weight.dim() == 4, "deform_conv2d: expected weight [O, C/groups, kH, kW], got shape ", weight.sizes());
  TORCH_CHECK(at::isFloatingType(input.scalar_type()), "deform_conv2d: expected a floating-point input, got ",
              input.scalar_type());
  check_pair("stride", s.stride, 1);
  check_pair("padding", s.padding, 0);
  check_pair("dilation", s.dilation, 1);
  TORCH_CHECK(s.groups >= 1 && s.offset_groups >= 1, "deform_conv2d: expected positive groups and offset_groups, got ",
              s.groups, " and ", s.offset_groups);

  Geometry g{};
  g.images = input.size(0), g.channels = input.size(1), g.height = input.size(2), g.width = input.size(3);
  g.out_channels = weight.size(0), g.kernel_h = weight.size(2), g.kernel_w = weight.size(3);
  g.stride_h = s.stride[0], g.stride_w = s.stride[1], g.pad_h = s.padding[0], g.pad_w = s.padding[1];
  g.dilation_h = s.dilation[0], g.dilation_w = s.dilation[1];
  g.groups = s.groups, g.offset_groups = s.offset_groups;

  TORCH_CHECK(g.channels > 0 && g.height > 0 && g.width > 0, "deform_conv2d: expected non-empty channels and map, got ",
              input.sizes());
  TORCH_CHECK(g.out_channels > 0 && g.taps() > 0, "deform_conv2d: expected a non-empty weight, got ", weight.sizes());
  TORCH_CHECK(g.channels % g.groups == 0 && g.out_channels % g.groups == 0,
              "deform_conv2d: expected input and output channels to be multiples of groups=", g.groups, ", got ",
              g.channels, " and ", g.out_channels);
  TORCH_CHECK(g.channels % g.offset_groups == 0,
              "deform_conv2d: expected input channels to be a multiple of offset_groups=", g.offset_groups, ", got ",
              g.channels);
  TORCH_CHECK(weight.size(1) == g.group_in(), "deform_conv2d: expected weight [", g.out_channels, ", ", g.group_in(),
              ", kH, kW] for ", g.channels, " input channels in ", g.groups, " groups, got ", weight.sizes());
  TORCH_CHECK(g.pixels() <= std::numeric_limits<int32_t>::max(), "deform_conv2d: expected a map of at most 2^31-1 cells");
  g.out_height = out_size("height", g.height, g.kernel_h, g.stride_h, g.pad_h, g.dilation_h);
  g.out_width = out_size("width", g.width, g.kernel_w, g.stride_w, g.pad_w, g.dilation_w);

  const int64_t samples = g.offset_groups * g.taps();
  const auto map_of = [&](int64_t maps) {
    return at::IntArrayRef({g.images, maps, g.out_height, g.out_width}).vec();
  };
  check_like("weight", weight, input);
  check_like("offset", offset, input);
  TORCH_CHECK(offset.sizes() == map_of(2 * samples), "deform_conv2d: expected offset [N, 2*offset_groups*kH*kW, Ho, Wo] = ",
              at::IntArrayRef(map_of(2 * samples)), ", got ", offset.sizes());
  if (mask.has_value() && mask->defined()) {
    check_like("mask", *mask, input);
    TORCH_CHECK(mask->sizes() == map_of(samples), "deform_conv2d: expected mask [N, offset_groups*kH*kW, Ho, Wo] = ",
                at::IntArrayRef(map_of(samples)), ", got ", mask->sizes());
  }
  if (bias.has_value() && bias->defined()) {
    check_like("bias", *bias, input);
    TORCH_CHECK(bias->dim() == 1 && bias->size(0) == g.out_channels, "deform_conv2d: expected bias [", g.out_channels,
                "], got ", bias->sizes());
  }
  return g;
}

}  // namespace sepc
