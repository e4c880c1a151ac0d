import { empty } from "../create.js";
import { tensorOp } from "../door.js";
import { DTYPES } from "../dtype.js";
import { keep, scope } from "../scope.js";
import type { Tensor } from "../tensor.js";

const view = tensorOp("aten::view");
const slice = tensorOp("aten::slice.Tensor");
const viewAs = tensorOp("aten::view.dtype");
const copyInto = tensorOp("aten::copy_");

const largestPiece = 2 ** 30; // an array of bytes ends at 4 GiB in Node 20

/**
 * Shows the memory of a contiguous CPU tensor to `visit`, piece by piece: a tensor may be larger than an array of bytes.
 * `at` is the piece's place in bytes.
 */
export function eachPiece(
  tensor: Tensor,
  visit: (bytes: Uint8Array, at: number) => void,
  pieceBytes = largestPiece,
): void {
  const { numel, dtype } = tensor;
  const { bytes } = DTYPES[dtype];
  if (numel === 0) return;
  if (numel * bytes <= pieceBytes) {
    visit(tensor.shareBytes(), 0);
    return;
  }
  const step = Math.floor(pieceBytes / bytes);
  scope(() => {
    const flat = view(tensor, [numel]);
    for (let first = 0; first < numel; first += step)
      visit(slice(flat, 0, first, Math.min(first + step, numel)).shareBytes(), first * bytes);
  });
}

// libtorch copies less than 32,768 elements in one thread: waking others costs more, much more on a busy machine.
const stagingWords = 2 ** 14;
const wordBytes = 8;

/**
 * Fills tensors from elsewhere through one small block of memory. The memory of tensors is not itself shown to JavaScript:
 * each array over it would keep it alive until the collector runs.
 */
export class TensorFiller {
  readonly #words = keep(empty([stagingWords], { dtype: "int64" }));
  readonly #bytes = this.#words.shareBytes();

  /** `read` fills the bytes it is given, which stand at `at` in the tensor: contiguous, on the CPU. */
  fill(tensor: Tensor, read: (bytes: Uint8Array, at: number) => void): void {
    const total = tensor.numel * DTYPES[tensor.dtype].bytes;
    const tail = total % wordBytes;
    scope(() => {
      const flat = viewAs(view(tensor, [tensor.numel]), "uint8");
      const words = viewAs(slice(flat, 0, 0, total - tail), "int64");
      const end = (total - tail) / wordBytes;
      for (let first = 0; first < end; first += stagingWords) {
        const count = Math.min(stagingWords, end - first);
        read(this.#bytes.subarray(0, count * wordBytes), first * wordBytes);
        copyInto(slice(words, 0, first, first + count), slice(this.#words, 0, 0, count));
      }
      if (tail === 0) return;
      read(this.#bytes.subarray(0, tail), total - tail);
      copyInto(slice(flat, 0, total - tail, total), slice(viewAs(this.#words, "uint8"), 0, 0, tail));
    });
  }

  free(): void {
    this.#words.free();
  }
}

/** Runs `body` with a filler, which is freed then. */
export function withFiller<T>(body: (filler: TensorFiller) => T): T {
  const filler = new TensorFiller();
  try {
    return body(filler);
  } finally {
    filler.free();
  }
}
