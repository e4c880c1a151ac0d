import { act, button, byId, input } from "./dom.js";
import { clock, type LiveSource } from "./live.js";

/** Resolves when the video shows a new frame; at once when it is to end. */
function nextFrame(video: HTMLVideoElement, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    ended.addEventListener("abort", () => resolve(), { once: true });
    if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => resolve());
    else requestAnimationFrame(() => resolve());
  });
}

/** What the video shows now. Through a canvas: not every browser makes a bitmap of a video that is not on the page. */
function frameOf(video: HTMLVideoElement): ImageBitmap {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  return canvas.transferToImageBitmap();
}

/** Plays a source and hands frames on, never faster than they are used. */
export class LivePanel {
  #source: LiveSource | null = null;
  #end = new AbortController();

  /** @param use does with a frame what is to be done, and resolves when the next may come */
  constructor(readonly use: (frame: ImageBitmap, source: LiveSource) => Promise<void>) {
    button("live-play").addEventListener("click", () => act(() => this.#toggle()));
    button("live-close").addEventListener("click", () => this.close());
    input("live-seek").addEventListener("input", () => {
      if (this.#source) this.#source.video.currentTime = input("live-seek").valueAsNumber;
    });
  }

  get open(): boolean {
    return this.#source !== null;
  }

  async play(source: LiveSource): Promise<void> {
    this.close();
    this.#source = source;
    const end = new AbortController();
    this.#end = end;
    const { video, seekable } = source;
    byId("live").hidden = false;
    byId("live-seek-label").hidden = !seekable;
    if (seekable) input("live-seek").max = String(video.duration);
    for (const event of ["play", "pause", "ended", "timeupdate"])
      video.addEventListener(event, () => this.#show(source), { signal: end.signal });
    await this.use(frameOf(video), source);
    if (end.signal.aborted) return;
    await video.play();
    while (!end.signal.aborted) {
      await nextFrame(video, end.signal);
      if (!end.signal.aborted) await this.use(frameOf(video), source);
    }
  }

  close(): void {
    this.#end.abort();
    this.#source?.close();
    this.#source = null;
    byId("live").hidden = true;
  }

  /** Stands still: the frame that is shown stays. */
  pause(): void {
    this.#source?.video.pause();
  }

  async #toggle(): Promise<void> {
    const { video } = this.#source ?? {};
    if (video?.paused) await video.play();
    else video?.pause();
  }

  #show({ video, seekable }: LiveSource): void {
    button("live-play").textContent = video.ended ? "Play again" : video.paused ? "Play" : "Pause";
    if (!seekable) {
      byId("live-time").textContent = "";
      return;
    }
    input("live-seek").value = String(video.currentTime);
    input("live-seek").setAttribute("aria-valuetext", `${video.currentTime.toFixed(1)} seconds`);
    byId("live-time").textContent = `${clock(video.currentTime)} / ${clock(video.duration)}`;
  }
}
