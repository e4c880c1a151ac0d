import type { EngineChoice, LoadedModel } from "../protocol.js";
import type { DetectorClient, ModelFile } from "./client.js";
import { act, button, byId, calm, facts, input, make, select, tell } from "./dom.js";
import { fetchFile } from "./fetchFile.js";
import { chosenFiles } from "./files.js";
import { appControlled } from "./offline.js";
import { forgetModel, rememberModel } from "./remember.js";

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** Loads models and says what they are. */
export class ModelPanel {
  #file: ModelFile | null = null;

  /** @param adopted gets each model that is ready */
  constructor(
    readonly client: DetectorClient,
    readonly adopted: (model: LoadedModel) => void,
  ) {
    button("open-model").addEventListener("click", () => input("model-input").click());
    input("model-input").addEventListener("change", ({ target }) => {
      const [chosen] = chosenFiles((target as HTMLInputElement).files);
      (target as HTMLInputElement).value = "";
      if (chosen) act(() => this.open({ name: chosen.file.name, model: chosen.file }));
    });
    byId("model-address", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      act(() => this.fetch(input("model-url").value));
    });
    for (const element of [select("backend"), input("threads")])
      element.addEventListener("change", () => act(() => this.reload()));
  }

  get #choice(): EngineChoice {
    const threads = Math.floor(input("threads").valueAsNumber);
    return {
      backend: select("backend").value as EngineChoice["backend"],
      threads: threads > 0 ? Math.min(threads, 64) : 0,
    };
  }

  async fetch(address: string): Promise<void> {
    const name = decodeURIComponent(
      new URL(address, location.href).pathname.split("/").at(-1) || "model.onnx",
    );
    tell(`Fetching ${name}…`);
    const model = await fetchFile(address, (loaded, total) =>
      tell(`Fetching ${name}: ${megabytes(loaded)}${total === null ? "" : ` of ${megabytes(total)}`}`),
    );
    await this.open({ name, model });
  }

  /** Loads the same model again, with other settings or after it was stopped. */
  async reload(): Promise<void> {
    if (this.#file !== null) await this.open(this.#file);
  }

  async open(file: ModelFile): Promise<void> {
    calm();
    tell(`Loading ${file.name}…`);
    try {
      await appControlled();
      const loaded = await this.client.load(file, this.#choice);
      this.#file = file;
      this.#show(file.name, loaded);
      tell(`${file.name} is loaded: ${loaded.spec.classes.length} classes. Now a picture.`);
      void rememberModel(file);
      this.adopted(loaded);
    } catch (error) {
      const before = this.client.running ? this.#file : null;
      tell(`${file.name} was not loaded${before === null ? "" : `; ${before.name} is still in use`}.`);
      throw error;
    }
  }

  #show(name: string, { spec, bytes }: LoadedModel): void {
    const [long, short] = spec.input.scale;
    const { classes } = spec;
    const some = classes.slice(0, 6).join(", ");
    const forget = make("button", { type: "button", class: "link" }, "Forget it");
    forget.addEventListener("click", () =>
      act(async () => {
        await forgetModel();
        tell(`${name} will not be loaded on the next visit.`);
      }),
    );
    byId("model-facts").hidden = false;
    byId("model-facts").replaceChildren(
      ...facts([
        ["File", `${name}, ${megabytes(bytes)}`],
        ["Detector", `${spec.name} (${spec.detector}), ${spec.precision ?? "float32"}`],
        ["Classes", `${classes.length}: ${some}${classes.length > 6 ? " …" : ""}`],
        ["Input", `sides up to ${Math.max(long, short)} and ${Math.min(long, short)} pixels`],
        [
          "Views",
          spec.views ? `${spec.views.features.length} maps, ${spec.views.offsets.length} kernels` : "none",
        ],
      ]),
      make(
        "div",
        {},
        make("dt", {}, "Next visit"),
        make("dd", {}, "loaded again from this browser. ", forget),
      ),
    );
    button("open-model").textContent = "Another model…";
  }
}
