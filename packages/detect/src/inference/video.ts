import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type { RgbImage } from "@sepc/core";
import { EngineError } from "../data/errors.js";

/** What is known of a video before its frames are read. */
export interface VideoInfo {
  /** Pixels, as the frames are shown. */
  readonly width: number;
  readonly height: number;
  /** Frames a second. */
  readonly rate: number;
  /** Where the file tells it. */
  readonly frames: number | null;
}

const endings = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ts|gif)$/i;

/** Whether a file is a video by its name; a moving GIF counts as a picture. */
export const isVideo = (path: string): boolean => endings.test(path) && !/\.gif$/i.test(path);

function started(program: string, args: readonly string[], stdin: "ignore" | "pipe"): ChildProcess {
  const child = spawn(program, args, { stdio: [stdin, "pipe", "pipe"] });
  child.on("error", () => undefined);
  return child;
}

/** Waits for the end; throws what the program said where it failed. */
async function ended(child: ChildProcess, file: string, said: () => string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined)
    await once(child, "close");
  if (child.pid === undefined)
    throw new EngineError(
      "FILE",
      `${file}: videos need ffmpeg, which is not installed (Debian, Ubuntu: apt install ffmpeg)`,
    );
  if (child.exitCode !== 0)
    throw new EngineError("FILE", `${file}: ffmpeg: ${said().trim().split("\n").at(-1) ?? "failed"}`);
}

function listening(child: ChildProcess): () => string {
  let text = "";
  child.stderr?.on("data", (part: Buffer) => {
    text = (text + part.toString()).slice(-4000);
  });
  return () => text;
}

/**
 * Size, rate and length of a video.
 * @throws EngineError FILE when ffmpeg is missing or cannot read it
 */
export async function probeVideo(file: string): Promise<VideoInfo> {
  const entries = "stream=width,height,r_frame_rate,nb_frames:stream_side_data=rotation";
  const args = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json", file];
  const child = started("ffprobe", args, "ignore");
  const said = listening(child);
  let out = "";
  child.stdout?.on("data", (part: Buffer) => {
    out += part.toString();
  });
  await ended(child, file, said);
  const [stream] = (JSON.parse(out) as { streams?: Record<string, unknown>[] }).streams ?? [];
  if (stream === undefined) throw new EngineError("FILE", `${file}: there is no video in it`);
  const [top = 0, bottom = 1] = String(stream.r_frame_rate).split("/").map(Number);
  const sides = (stream.side_data_list ?? []) as { rotation?: number }[];
  const turned = sides.some(({ rotation = 0 }) => Math.abs(rotation) % 180 === 90);
  const [width, height] = [Number(stream.width), Number(stream.height)];
  const frames = Number(stream.nb_frames);
  return {
    width: turned ? height : width,
    height: turned ? width : height,
    rate: top / bottom || 25,
    frames: Number.isInteger(frames) && frames > 0 ? frames : null,
  };
}

/**
 * The frames of a video in turn, 8 bit RGB; ffmpeg waits while they are not asked for.
 * @throws EngineError FILE when it breaks off
 */
export async function* readFrames(
  file: string,
  { width, height }: Pick<VideoInfo, "width" | "height">,
): AsyncGenerator<RgbImage> {
  const args = [
    "-v",
    "error",
    "-i",
    file,
    "-f",
    "rawvideo",
    "-pix_fmt",
    "rgb24",
    "-s",
    `${width}x${height}`,
    "-",
  ];
  const child = started("ffmpeg", args, "ignore");
  const said = listening(child);
  const size = width * height * 3;
  let frame = new Uint8Array(size);
  let filled = 0;
  try {
    for await (const part of child.stdout as AsyncIterable<Buffer>) {
      for (let from = 0; from < part.length; ) {
        const count = Math.min(size - filled, part.length - from);
        frame.set(part.subarray(from, from + count), filled);
        filled += count;
        from += count;
        if (filled < size) continue;
        yield { data: frame, width, height };
        frame = new Uint8Array(size);
        filled = 0;
      }
    }
    await ended(child, file, said);
  } finally {
    child.kill();
  }
}

/** Writes frames into a video file. */
export interface VideoWriter {
  /** 8 bit RGB of the video's size. */
  write(frame: Uint8Array): Promise<void>;
  /** @throws EngineError FILE with what ffmpeg said */
  close(): Promise<void>;
}

/** A video of H.264, playable everywhere; odd sides lose a pixel. */
export function writeVideo(file: string, { width, height, rate }: VideoInfo): VideoWriter {
  const raw = [
    "-f",
    "rawvideo",
    "-pix_fmt",
    "rgb24",
    "-s",
    `${width}x${height}`,
    "-r",
    String(rate),
    "-i",
    "-",
  ];
  const coded = ["-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-pix_fmt", "yuv420p", "-movflags", "+faststart"];
  const child = started("ffmpeg", ["-v", "error", "-y", ...raw, ...coded, file], "pipe");
  const said = listening(child);
  child.stdout?.resume();
  child.stdin?.on("error", () => undefined);
  const closed = new Promise((resolve) => child.once("close", resolve));
  return {
    async write(frame) {
      const { stdin } = child;
      if (stdin?.write(frame) === false)
        await Promise.race([new Promise((resolve) => stdin.once("drain", resolve)), closed]);
      if (child.exitCode !== null) await ended(child, file, said);
    },
    async close() {
      child.stdin?.end();
      await ended(child, file, said);
    },
  };
}
