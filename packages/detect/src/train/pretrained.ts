import { existsSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "@sepc/engine";
import { cacheFolder, type FetchFileOptions, fetchFile } from "@sepc/engine/setup";

/** Where torchvision's weights are published; SEPC_WEIGHTS_MIRROR puts another server in its place. */
const officialServer = "https://download.pytorch.org/models";

/**
 * torchvision's first weights of each network (IMAGENET1K_V1), which the paper's backbones started from. A name ends in
 * the first digits of the file's SHA-256.
 */
const FILES: Readonly<Record<string, string>> = {
  resnet18: "resnet18-f37072fd.pth",
  resnet34: "resnet34-b627a593.pth",
  resnet50: "resnet50-0676ba61.pth",
  resnet101: "resnet101-63fe2227.pth",
  resnext50_32x4d: "resnext50_32x4d-7cdf4587.pth",
  resnext101_32x8d: "resnext101_32x8d-8ba56ff5.pth",
  resnext101_64x4d: "resnext101_64x4d-173b62eb.pth",
};

export const pretrainedNames: readonly string[] = Object.keys(FILES);

/**
 * The path of a published file whose name ends in digits of its SHA-256, fetched into the cache where it is not there.
 * @throws SetupError naming the file and where to put it by hand
 */
export function fetchPretrained(file: string, connection?: FetchFileOptions["connection"]): Promise<string> {
  const sha256 = /-([0-9a-f]{8,64})\.\w+$/.exec(file)?.[1];
  if (sha256 === undefined)
    throw new EngineError(
      "BAD_ARGUMENT",
      `weights ${file}: expected a name that ends in digits of its SHA-256`,
    );
  const server = (process.env.SEPC_WEIGHTS_MIRROR || officialServer).replace(/\/+$/, "");
  return fetchFile({
    url: `${server}/${encodeURIComponent(file)}`,
    path: join(cacheFolder(), "weights", file),
    sha256,
    connection,
  });
}

/**
 * The file that a configuration's `weights` stand for: itself, or torchvision's of that name from the cache or the net.
 * @returns null for "scratch"
 * @throws EngineError FILE when it is neither a file nor a known name; SetupError when it cannot be fetched
 */
export async function weightsFile(weights: string): Promise<string | null> {
  if (weights === "scratch") return null;
  if (existsSync(weights)) return weights;
  const file = Object.hasOwn(FILES, weights) ? FILES[weights] : undefined;
  if (file !== undefined) return fetchPretrained(file);
  throw new EngineError(
    "FILE",
    `weights: there is no file "${weights}" (.pth or .safetensors), and no weights of that name; known are ` +
      `${pretrainedNames.join(", ")}; --weights scratch starts without`,
  );
}
