import { ops, backward, fromTypedArray, noGrad, optim, rand, scope, setNumThreads, autocast } from "@sepc/engine";
const part = (p) => import(new URL(`./packages/detect/dist/${p}.js`, import.meta.url).href);
const { buildDetector, parseDetector } = await part("detectors/index");
const [tower = "sepc", H = "512", W = "512", B = "1", rounds = "4", depth="50", prec="float32"] = process.argv.slice(2);
const h = +H, w = +W;
setNumThreads(2);
const c = parseDetector({ detector: "retinanet", backbone: { depth: +depth }, tower: tower==="plain"?{kind:"plain"}:{ kind: tower, norm: "integrated" } });
const d = buildDetector(c, 80).train();
const opt = new optim.SGD([...d.parameters()].filter(({ tensor }) => tensor.requiresGrad), { lr: 1e-5, momentum:0.9 });
const planar = rand([+B, 3, h, w]); const last = ops.contiguous(planar, "channelsLast");
const truths = Array.from({ length: +B }, () => ({ boxes: fromTypedArray(Float32Array.from(Array.from({ length: 12 }, (_, i) => [40 * i, 30 * i, 40 * i + 80, 30 * i + 80]).flat()), [12, 4]), labels: fromTypedArray(BigInt64Array.from({ length: 12 }, (_, i) => BigInt(i % 3)), [12]), ignored: null, size: [h, w], padded: [h, w] }));
for (let r = 0; r < +rounds; r++) for (const [n, images] of [["planar", planar], ["last", last]]) scope(() => {
  const t0 = performance.now(); opt.zeroGrad();
  const raw = autocast({device:"cpu",dtype:"bfloat16",enabled:prec==="bfloat16"},()=>d.forward(images)); const t1 = performance.now();
  const l = Object.entries(d.losses(raw, truths)).filter(([k]) => k.startsWith("loss")).map(([, v]) => v).reduce((a, b) => a.add(b));
  l.item(); const t2 = performance.now(); backward(l); const t3 = performance.now(); opt.step(); const t4 = performance.now();
  console.log(`${tower} ${n.padEnd(7)} forward ${(t1 - t0).toFixed(0)} losses ${(t2 - t1).toFixed(0)} backward ${(t3 - t2).toFixed(0)} optimizer ${(t4 - t3).toFixed(0)} all ${(t4-t0).toFixed(0)}`);
});
