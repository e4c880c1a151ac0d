import sharp from "sharp";
import { isBmp, readBmpHead } from "../data/bmp.js";
import { Problem } from "./problem.js";

/** A picture as a client sent it. */
export interface Upload {
  /** The file's name where there is one. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface MeasuredUpload extends Upload {
  readonly pixels: number;
}

const startsWith = (bytes: Uint8Array, text: string, at = 0): boolean =>
  [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0));

/**
 * How files of each format begin. The decoder knows more formats, among them some that are programs rather than
 * pictures (SVG); a server reads none of those.
 */
const formats: readonly ((bytes: Uint8Array) => boolean)[] = [
  (bytes) => startsWith(bytes, "\xff\xd8\xff"),
  (bytes) => startsWith(bytes, "\x89PNG\r\n\x1a\n"),
  (bytes) => startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8),
  (bytes) => startsWith(bytes, "GIF8"),
  (bytes) => startsWith(bytes, "ftypavi", 4),
  (bytes) => startsWith(bytes, "II*\0") || startsWith(bytes, "MM\0*"),
  isBmp,
];

const known = "JPEG, PNG, WebP, AVIF, GIF, TIFF or BMP";

/** What a body is by its content type. @throws Problem not-a-picture */
export function bodyKind(contentType: string | undefined): "picture" | "multipart" {
  const type = (contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  if (type === "multipart/form-data") return "multipart";
  if (type === "" || type === "application/octet-stream" || type.startsWith("image/")) return "picture";
  throw new Problem(
    "not-a-picture",
    `content type ${type}: expected image/*, application/octet-stream or multipart/form-data; with curl: ` +
      `-H "content-type: image/jpeg" --data-binary @photo.jpg`,
  );
}

/** The pictures of a multipart body. @throws Problem bad-multipart */
export async function splitMultipart(body: Uint8Array<ArrayBuffer>, contentType: string): Promise<Upload[]> {
  let form: FormData;
  try {
    form = await new Response(body, { headers: { "content-type": contentType } }).formData();
  } catch {
    throw new Problem(
      "bad-multipart",
      "expected multipart/form-data, with its boundary in the content type and its end in place",
    );
  }
  const uploads: Upload[] = [];
  for (const [field, value] of form) {
    if (typeof value === "string")
      throw new Problem(
        "bad-multipart",
        `field "${field}": expected a file; settings belong in the query, as ?score=0.5`,
      );
    uploads.push({ name: value.name || field, bytes: new Uint8Array(await value.arrayBuffer()) });
  }
  if (uploads.length === 0)
    throw new Problem("bad-multipart", "expected at least one file, as of curl -F picture=@photo.jpg");
  return uploads;
}

async function sizeOf(bytes: Uint8Array): Promise<{ width: number; height: number; channels: number }> {
  if (isBmp(bytes)) return { ...readBmpHead(bytes), channels: 3 };
  const { width, height, channels } = await sharp(bytes, { limitInputPixels: false }).metadata();
  return { width, height, channels };
}

/**
 * Looks at a picture's head: what it claims decides whether it is decoded at all.
 * @throws Problem not-a-picture, broken-picture, too-many-pixels
 */
export async function measure(upload: Upload, maxPixels: number): Promise<MeasuredUpload> {
  const { name, bytes } = upload;
  if (!formats.some((fits) => fits(bytes)))
    throw new Problem(
      "not-a-picture",
      bytes.length === 0
        ? `${name}: expected a picture, got nothing`
        : `${name}: expected ${known}, by its first bytes it is none of these`,
    );
  const size = await sizeOf(bytes).catch((cause: Error) => {
    throw new Problem("broken-picture", `${name}: ${cause.message.split("\n")[0]}`);
  });
  const { width, height, channels } = size;
  if (channels > 5)
    throw new Problem("broken-picture", `${name}: expected at most 5 channels, it has ${channels}`);
  const pixels = width * height;
  if (pixels > maxPixels)
    throw new Problem(
      "too-many-pixels",
      `${name}: ${width}x${height} pixels; expected at most ${Number((maxPixels / 1e6).toFixed(1))} million`,
    );
  return { ...upload, pixels };
}
