/** Moving pictures: a file or the webcam. */
export interface LiveSource {
  readonly name: string;
  readonly video: HTMLVideoElement;
  /** Whether it has a length to seek in. */
  readonly seekable: boolean;
  close(): void;
}

function player(): HTMLVideoElement {
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  return video;
}

const firstFrame = (video: HTMLVideoElement, fault: () => Error): Promise<void> =>
  new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", () => resolve(), { once: true });
    video.addEventListener("error", () => reject(fault()), { once: true });
  });

/** @throws Error in words, when the browser cannot play it */
export async function openVideo(file: File): Promise<LiveSource> {
  const video = player();
  const address = URL.createObjectURL(file);
  const ready = firstFrame(
    video,
    () =>
      new Error(
        `${file.name} cannot be played by this browser: expected MP4 (H.264), WebM or what else it knows; convert it with: ffmpeg -i in -c:v libvpx-vp9 out.webm`,
      ),
  );
  video.src = address;
  try {
    await ready;
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
  return {
    name: file.name,
    video,
    seekable: Number.isFinite(video.duration),
    close: () => {
      video.pause();
      video.removeAttribute("src");
      URL.revokeObjectURL(address);
    },
  };
}

const refusals: Readonly<Record<string, string>> = {
  NotAllowedError: "the browser was not allowed to use the webcam: allow it beside the address and try again",
  NotFoundError: "there is no webcam: connect one and try again",
  NotReadableError: "the webcam is in use by another program: close that and try again",
};

/** @throws Error in words, when there is no webcam or it is refused */
export async function openWebcam(): Promise<LiveSource> {
  const devices = navigator.mediaDevices as MediaDevices | undefined;
  if (devices === undefined)
    throw new Error("the webcam needs a safe address: open the app by https or on localhost");
  const stream = await devices
    .getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } })
    .catch((cause: Error) => {
      throw new Error(refusals[cause.name] ?? `the webcam does not start: ${cause.message}`, { cause });
    });
  const video = player();
  const ready = firstFrame(video, () => new Error("the webcam gives no pictures"));
  video.srcObject = stream;
  await ready;
  return {
    name: "webcam",
    video,
    seekable: false,
    close: () => {
      video.pause();
      for (const track of stream.getTracks()) track.stop();
      video.srcObject = null;
    },
  };
}

export const clock = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
