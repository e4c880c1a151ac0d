// Deformable convolution from the library's own operators: gather the four corners, weigh, multiply.
//
// It builds the whole column tensor and serves where no kernel of ours was compiled, as the second derivative, and as
// the oracle of the tests. Coordinates outside are replaced before any arithmetic, so that neither values nor gradients
// of them (infinities included) reach a sum; a NaN coordinate is kept in the fractional parts only.
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>

#include "ops.h"

namespace sepc {
namespace {

/** Coordinates of all samples along one axis, [N, G, taps, Ho, Wo]. */
at::Tensor coordinates(const Geometry& g, const at::Tensor& offset, bool vertical) {
  const at::TensorOptions options = offset.options();
  const at::Tensor taps = at::arange(vertical ? g.kernel_h : g.kernel_w, options) * (vertical ? g.dilation_h : g.dilation_w);
  const at::Tensor cells = at::arange(vertical ? g.out_height : g.out_width, options) * (vertical ? g.stride_h : g.stride_w) -
                           (vertical ? g.pad_h : g.pad_w);
  const at::Tensor base =
      vertical ? taps.view({-1, 1, 1, 1}) + cells.view({1, 1, -1, 1}) : taps.view({1, -1, 1, 1}) + cells.view({1, 1, 1, -1});
  const at::Tensor grid = base.expand({g.kernel_h, g.kernel_w, g.out_height, g.out_width})
                              .reshape({1, 1, g.taps(), g.out_height, g.out_width});
  return grid + offset.view({g.images, g.offset_groups, g.taps(), 2, g.out_height, g.out_width}).select(3, vertical ? 0 : 1);
}

/** Columns [N, C, taps, Ho·Wo]. */
at::Tensor sample_columns(const Geometry& g, const at::Tensor& input, const at::Tensor& offset, const at::Tensor& mask) {
  const at::Tensor y = coordinates(g, offset, true), x = coordinates(g, offset, false);
  const at::Tensor inside = (y > -1).logical_and(y < g.height).logical_and(x > -1).logical_and(x < g.width);
  const at::Tensor is_nan = at::isnan(y).logical_or(at::isnan(x));
  const at::Tensor zero = at::zeros({}, y.options());
  const at::Tensor sy = at::where(inside, y, zero), sx = at::where(inside, x, zero);
  const at::Tensor y0 = sy.detach().floor(), x0 = sx.detach().floor();
  const at::Tensor nan = at::where(is_nan, y + x, zero);
  const at::Tensor fy = sy - y0 + nan, fx = sx - x0 + nan;

  const at::Tensor maps = input.reshape({g.images, g.offset_groups, g.offset_group_size(), g.pixels()});
  at::Tensor columns;
  for (int corner = 0; corner < 4; ++corner) {
    const bool low = corner >= 2, right = corner % 2 == 1;
    const at::Tensor cy = low ? y0 + 1 : y0, cx = right ? x0 + 1 : x0;
    const at::Tensor exists =
        inside.logical_and(cy >= 0).logical_and(cy < g.height).logical_and(cx >= 0).logical_and(cx < g.width);
    const at::Tensor pixel = at::where(exists, cy, zero).to(at::kLong) * g.width + at::where(exists, cx, zero).to(at::kLong);
    const at::Tensor index = pixel.view({g.images, g.offset_groups, 1, g.taps() * g.positions()}).expand({-1, -1, g.offset_group_size(), -1});
    const at::Tensor value = at::where(exists.view({g.images, g.offset_groups, 1, g.taps() * g.positions()}), maps.gather(3, index), zero);
    const at::Tensor weight = (low ? fy : 1 - fy) * (right ? fx : 1 - fx);
    const at::Tensor part = value * weight.reshape({g.images, g.offset_groups, 1, g.taps() * g.positions()});
    columns = columns.defined() ? columns + part : part;
  }
  if (mask.defined()) columns = columns * mask.reshape({g.images, g.offset_groups, 1, g.taps() * g.positions()});
  return columns.reshape({g.images, g.channels, g.taps(), g.positions()});
}

}  // namespace

at::Tensor deform_conv2d_composite(SEPC_DEFORM_ARGS) {
  const Geometry g = check_geometry(input, weight, offset, mask, bias, {stride, padding, dilation, groups, offset_groups});
  const at::Tensor m = value_or_none(mask), b = value_or_none(bias);
  const at::Tensor columns = sample_columns(g, input, offset.contiguous(), m)
                                 .reshape({g.images, g.groups, g.group_in() * g.taps(), g.positions()});
  const at::Tensor kernel = weight.reshape({1, g.groups, g.group_out(), g.group_in() * g.taps()});
  const at::Tensor out = at::matmul(kernel, columns).reshape({g.images, g.out_channels, g.out_height, g.out_width});
  return b.defined() ? out + b.view({1, -1, 1, 1}) : out;
}

Gradients deform_conv2d_backward_composite(const at::Tensor& grad, SEPC_DEFORM_ARGS, std::array<bool, 5> output_mask) {
  // Called below autograd: the recording that this needs is switched on again for its own graph.
  auto keys = c10::impl::tls_local_dispatch_key_set();
  keys.excluded_ = keys.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView;
  const c10::impl::ForceDispatchKeyGuard above_autograd(keys);
  const at::AutoGradMode record(true);
  const at::Tensor given[5] = {input, weight, offset, value_or_none(mask), value_or_none(bias)};
  at::Tensor leaves[5], result[5];
  std::vector<at::Tensor> wanted;
  std::vector<int> places;
  for (int i = 0; i < 5; ++i) {
    if (!given[i].defined()) continue;
    leaves[i] = given[i].detach();
    if (!output_mask[i]) continue;
    leaves[i].set_requires_grad(true);
    wanted.push_back(leaves[i]);
    places.push_back(i);
  }
  if (!wanted.empty()) {
    const auto optional = [](const at::Tensor& t) { return t.defined() ? OptionalTensor(t) : OptionalTensor(); };
    const at::Tensor out = deform_conv2d_composite(leaves[0], leaves[1], leaves[2], optional(leaves[3]), optional(leaves[4]),
                                                   stride, padding, dilation, groups, offset_groups);
    const auto found = torch::autograd::grad({out}, wanted, {grad});
    for (size_t i = 0; i < places.size(); ++i) result[places[i]] = found[i];
  }
  return {result[0], result[1], result[2], result[3], result[4]};
}

}  // namespace sepc
