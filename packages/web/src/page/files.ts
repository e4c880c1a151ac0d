export type FileKind = "model" | "picture" | "video";

const endings: Readonly<Record<FileKind, RegExp>> = {
  model: /\.(onnx|ort)$/i,
  picture: /\.(jpe?g|jfif|png|webp|gif|bmp|avif)$/i,
  video: /\.(mp4|m4v|webm|mkv|mov|ogv)$/i,
};

/** What a file is, by its type and name; null for what the app has no use for. */
export function kindOf({ type, name }: Pick<File, "type" | "name">): FileKind | null {
  for (const kind of ["model", "picture", "video"] as const) if (endings[kind].test(name)) return kind;
  if (/^image\/(jpeg|png|webp|gif|bmp|avif)$/.test(type)) return "picture";
  return type.startsWith("video/") ? "video" : null;
}

/** A file with its place below the folder that was opened. */
export interface PlacedFile {
  readonly file: File;
  readonly path: string;
}

const fileOf = (entry: FileSystemFileEntry): Promise<File> =>
  new Promise((resolve, reject) => entry.file(resolve, reject));

/** A folder's entries come in parts, the last of which is empty. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (part.length === 0) return all;
    all.push(...part);
  }
}

async function filesBelow(entry: FileSystemEntry): Promise<PlacedFile[]> {
  if (entry.isFile) {
    const file = await fileOf(entry as FileSystemFileEntry);
    return [{ file, path: entry.fullPath.replace(/^\//, "") }];
  }
  const found: PlacedFile[] = [];
  for (const child of await childrenOf(entry as FileSystemDirectoryEntry))
    found.push(...(await filesBelow(child)));
  return found;
}

/** All files that were dropped, those in folders too. */
export async function droppedFiles(dropped: DataTransfer): Promise<PlacedFile[]> {
  // Entries are asked for at once: the list is emptied when the event ends.
  const entries = [...dropped.items].map((item) => item.webkitGetAsEntry?.() ?? null);
  const loose = [...dropped.files].map((file) => ({ file, path: file.name }));
  if (entries.every((entry) => entry === null)) return loose;
  const found: PlacedFile[] = [];
  for (const entry of entries) if (entry !== null) found.push(...(await filesBelow(entry)));
  return found;
}

/** Files of an input, with their folders where it has them. */
export const chosenFiles = (list: FileList | null): PlacedFile[] =>
  [...(list ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** In the order that people expect: "2.jpg" before "10.jpg". */
export function inOrder(files: readonly PlacedFile[]): PlacedFile[] {
  const order = new Intl.Collator(undefined, { numeric: true });
  return [...files].sort((a, b) => order.compare(a.path, b.path));
}

/**
 * A picture's pixels as they stand in the file, turned upright.
 * @throws Error in words, when the browser cannot read it
 */
export async function decodePicture(file: Blob, name: string): Promise<ImageBitmap> {
  try {
    // Networks learn from numbers in files: a colour profile is not applied.
    return await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch (cause) {
    throw new Error(
      `${name} cannot be read as a picture: expected JPEG, PNG, WebP, GIF, BMP or AVIF that is not cut short`,
      { cause },
    );
  }
}
