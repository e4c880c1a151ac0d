import type { DetectedPicture, LoadedModel } from "../protocol.js";
import { DetectorClient, Stopped } from "./client.js";
import { act, button, byId, calm, fail, input, tell } from "./dom.js";
import { decodePicture, inOrder, kindOf, type PlacedFile } from "./files.js";
import { InsidePanel } from "./inside.js";
import { type LiveSource, openVideo, openWebcam } from "./live.js";
import { LivePanel } from "./livePanel.js";
import { ModelPanel } from "./model.js";
import { countsInWords, ObjectsPanel } from "./objects.js";
import { type Entry, PictureList } from "./pictures.js";
import { savePicture, saveResults } from "./save.js";
import { Stage } from "./stage.js";
import { TimesPanel } from "./times.js";

/** The page: what is opened goes to the worker, what it finds to the panels. */
export class App {
  readonly client = new DetectorClient();
  readonly model = new ModelPanel(this.client, (loaded) => this.#adopt(loaded));
  readonly stage = new Stage((point) => act(() => this.inside.pick(point)));
  readonly inside = new InsidePanel(this.client, this.stage, () => act(() => this.again()));
  readonly objects = new ObjectsPanel({
    changed: () => this.#filtered(),
    marked: (marked) => this.stage.show({ marked }),
    visited: (object) => {
      this.stage.lookAt(object);
      this.stage.show({ marked: object });
    },
  });
  readonly times = new TimesPanel();
  readonly pictures = new PictureList(
    (entry) => act(() => this.#open(entry)),
    ({ objects }) => this.objects.passing(objects).length,
  );
  readonly live = new LivePanel((frame, source) => this.#frame(frame, source));
  #loaded: LoadedModel | null = null;
  /** Name of what is on the stage. */
  #name = "";
  /** Raised by whatever makes work under way useless. */
  #turn = 0;
  #working: Promise<unknown> = Promise.resolve();
  /** After a stop nothing is detected until the person asks. */
  #held = false;

  constructor() {
    button("stop").addEventListener("click", () => act(() => this.stop()));
    button("detect-all").addEventListener("click", () => act(() => this.detectAll()));
    input("names").addEventListener("change", () => this.stage.show({ names: input("names").checked }));
    button("save-objects").addEventListener("click", () => this.#saveShown());
    button("save-results").addEventListener("click", () => this.#saveAll());
    button("save-picture").addEventListener("click", () => act(() => this.#savePicture()));
  }

  /** Sorts files into models, pictures and videos, and opens them. */
  async open(files: readonly PlacedFile[]): Promise<void> {
    calm();
    const of = (kind: string): PlacedFile[] => files.filter(({ file }) => kindOf(file) === kind);
    const [models, pictures, videos] = [of("model"), inOrder(of("picture")), of("video")];
    if (files.length > 0 && models.length + pictures.length + videos.length === 0)
      throw new Error(
        `${files[0]?.path}: expected a model (.onnx), pictures (JPEG, PNG, WebP, GIF, BMP, AVIF) or a video; found none in ${files.length} ${files.length === 1 ? "file" : "files"}`,
      );
    const [model] = models;
    if (model) await this.model.open({ name: model.file.name, model: model.file });
    if (pictures.length > 0) {
      this.live.close();
      this.pictures.set(pictures);
    } else if (videos[0]) await this.#play(await openVideo(videos[0].file));
  }

  async webcam(): Promise<void> {
    calm();
    tell("Starting the webcam…");
    await this.#play(await openWebcam());
  }

  async #play(source: LiveSource): Promise<void> {
    this.#turn++;
    this.#held = false;
    this.pictures.clear();
    this.#name = source.name;
    tell(
      this.#loaded
        ? `${source.name} is playing.`
        : `${source.name} is playing; choose a model to detect on it.`,
    );
    await this.live.play(source);
  }

  async #frame(frame: ImageBitmap, source: LiveSource): Promise<void> {
    if (this.#loaded === null || this.#held) {
      this.#put(frame, source.name);
      return;
    }
    try {
      const turn = this.#turn;
      const found = await this.client.call("detect", { picture: frame, views: this.inside.wanted }, [frame]);
      if (turn === this.#turn) await this.#present(found, source.name, false);
      else found.picture.close();
    } catch (error) {
      // Another model takes over: it gets the next frame.
      if (error instanceof Stopped) return;
      this.live.pause();
      fail(error);
    }
  }

  async #open(entry: Entry): Promise<void> {
    const turn = ++this.#turn;
    this.#held = false;
    try {
      const picture = await decodePicture(entry.file, entry.path);
      if (turn !== this.#turn) return;
      this.objects.show([]);
      this.#put(picture, entry.path);
    } catch (error) {
      this.pictures.note(entry, null, (error as Error).message);
      throw error;
    }
    await this.again();
  }

  /** Detects on what is shown. */
  async again(): Promise<void> {
    const { picture } = this.stage.scene;
    const turn = ++this.#turn;
    if (picture === null || this.#held) return;
    if (this.#loaded === null) {
      tell(`${this.#name} is shown; choose a model to detect on it.`);
      return;
    }
    await this.#working.catch(() => undefined);
    if (turn !== this.#turn) return;
    tell(`Detecting on ${this.#name}…`);
    this.#busy(true);
    try {
      const work = this.client.call("detect", { picture, views: this.inside.wanted });
      this.#working = work;
      const found = await work;
      if (turn === this.#turn) await this.#present(found, this.#name, true);
      else found.picture.close();
    } catch (error) {
      if (turn === this.#turn) tell(`Nothing was detected on ${this.#name}.`);
      throw error;
    } finally {
      if (turn === this.#turn) this.#busy(false);
    }
  }

  /** Goes through all pictures of the list. */
  async detectAll(): Promise<void> {
    if (this.#loaded === null) throw new Error("choose a model first: then it detects on all pictures");
    const { entries } = this.pictures;
    this.#held = false;
    for (const [i, entry] of entries.entries()) {
      if (this.#held || this.pictures.entries !== entries) return;
      if (entry.result !== null || entry.fault !== null) continue;
      try {
        const picture = await decodePicture(entry.file, entry.path);
        this.#busy(true);
        const found = await this.client.call("detect", { picture, views: false }, [picture]);
        this.#note(entry, found);
        this.times.add(found.times);
        found.picture.close();
        tell(`${i + 1} of ${entries.length} pictures done.`);
      } catch (error) {
        if (!this.client.running) throw error;
        this.pictures.note(entry, null, (error as Error).message);
        fail(error);
      }
    }
    this.#busy(false);
    const all = entries.flatMap(({ result }) => this.objects.passing(result?.objects ?? []));
    tell(`All ${entries.length} pictures are done: ${countsInWords(all) || "no objects"}.`);
    // The maps in the worker are those of its last picture.
    if (this.inside.wanted) await this.again();
  }

  /** Ends what runs; the model is loaded again for the next picture. */
  async stop(): Promise<void> {
    this.#held = true;
    this.#turn++;
    this.live.pause();
    this.client.stop();
    await this.model.reload();
    tell("Stopped. Open a picture to detect again.");
  }

  #adopt(loaded: LoadedModel): void {
    this.#loaded = loaded;
    this.pictures.forget();
    this.objects.adopt(loaded.spec);
    this.times.adopt(loaded.engine);
    this.inside.adopt(loaded.spec);
    this.stage.show({ classes: loaded.spec.classes });
    this.#busy(false);
    act(() => this.again());
  }

  #filtered(): void {
    this.stage.show({ objects: this.objects.passing(), marked: null });
    this.pictures.recount();
  }

  #put(picture: ImageBitmap, name: string): void {
    const before = this.stage.scene.picture;
    this.#name = name;
    this.stage.show({ picture, marked: null, ...(before === null ? {} : { heat: null }) });
    this.stage.describe(`${name}, ${picture.width} by ${picture.height} pixels`);
    button("save-picture").disabled = false;
    if (before !== picture) before?.close();
  }

  async #present(found: DetectedPicture, name: string, aloud: boolean): Promise<void> {
    const { picture, objects, times, input: geometry } = found;
    const heat = this.stage.scene.heat;
    this.#put(picture, name);
    if (found.views) this.stage.show({ heat });
    this.objects.show(objects);
    this.times.add(times);
    button("save-objects").disabled = false;
    const { current } = this.pictures;
    if (current?.path === name) this.#note(current, found);
    const shown = this.objects.passing();
    const words = `${shown.length} ${shown.length === 1 ? "object" : "objects"}${shown.length > 0 ? `: ${countsInWords(shown)}` : ""}`;
    this.stage.describe(`${name}, ${picture.width} by ${picture.height} pixels; ${words}`);
    if (aloud)
      tell(
        `${name}: ${words}, in ${Math.round(times.pixels + times.prepare + times.network + times.decode)} ms.`,
      );
    if (found.views) await this.inside.refresh(geometry);
  }

  #note(entry: Entry, { picture: { width, height }, objects }: DetectedPicture): void {
    this.pictures.note(entry, { width, height, objects });
  }

  #busy(busy: boolean): void {
    button("stop").hidden = !busy;
    byId("stage").setAttribute("aria-busy", String(busy));
  }

  #saveShown(): void {
    const { picture } = this.stage.scene;
    if (picture === null) return;
    const { width, height } = picture;
    const shown = { file: this.#name, width, height, objects: this.objects.passing() };
    saveResults([shown], `${this.#name.replace(/^.*\//, "")}.json`);
  }

  #saveAll(): void {
    const done = this.pictures.entries.flatMap(({ path, result }) =>
      result === null ? [] : [{ file: path, ...result, objects: this.objects.passing(result.objects) }],
    );
    if (done.length === 0) fail("there is nothing to save yet: detect on the pictures first");
    else saveResults(done, "detections.json");
  }

  async #savePicture(): Promise<void> {
    const { picture, classes } = this.stage.scene;
    if (picture === null) return;
    const name = `${this.#name.replace(/^.*\//, "").replace(/\.\w+$/, "")}-detections.png`;
    await savePicture(picture, this.objects.passing(), classes, name);
  }
}
