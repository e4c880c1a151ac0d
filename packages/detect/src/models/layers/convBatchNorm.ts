import { isGradEnabled, nn, ops, scope, type Tensor, tensorOp } from "@sepc/engine";

const conv2d = tensorOp("aten::conv2d");

/**
 * A convolution without bias, then its batch normalisation: [N, C, H, W] -> [N, C', H', W'].
 *
 * While gradients are recorded, a normalisation by running statistics (a pretrained backbone's) is computed as a scale
 * of the kernel and a bias, through which gradients reach all that they would: the map is passed over once instead of
 * twice on either way, and is not kept a second time.
 */
export function convBatchNorm(
  conv: nn.Module & { forward(x: Tensor): Tensor },
  bn: nn.Layer,
  x: Tensor,
): Tensor {
  const fixed = bn instanceof nn.BatchNorm2d && !bn.training;
  if (!fixed || !(conv instanceof nn.Conv2d) || !isGradEnabled()) return bn.forward(conv.forward(x));
  const { runningMean, runningVar, weight, bias } = bn;
  if (runningMean === null || runningVar === null || conv.bias !== null) return bn.forward(conv.forward(x));
  return scope(() => {
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = conv.config;
    const inverse = ops.rsqrt(runningVar.tensor.add(bn.config.eps ?? 1e-5));
    const scale = weight === null ? inverse : weight.tensor.mul(inverse);
    const shift = runningMean.tensor.mul(scale).neg();
    const kernel = conv.weight.tensor.mul(scale.reshape([-1, 1, 1, 1]));
    const biases = bias === null ? shift : bias.tensor.add(shift);
    return conv2d(x, kernel, biases, nn.pair(stride), nn.pair(padding), nn.pair(dilation), groups);
  });
}
