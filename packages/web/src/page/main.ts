import { App } from "./app.js";
import { act, button, byId, input } from "./dom.js";
import { fetchFile } from "./fetchFile.js";
import { chosenFiles, droppedFiles } from "./files.js";
import { keepOffline } from "./offline.js";
import { rememberedModel } from "./remember.js";
import { followTheme } from "./theme.js";

/** A model and a picture that lie beside the app. */
interface Sample {
  readonly model: string;
  readonly picture: string;
}

const nameOf = (address: string): string =>
  decodeURIComponent(new URL(address, location.href).pathname.split("/").at(-1) || "picture");

async function openPicture(app: App, address: string): Promise<void> {
  const blob = await fetchFile(address, () => undefined);
  const file = new File([blob], nameOf(address), { type: blob.type || "image/*" });
  await app.open([{ file, path: file.name }]);
}

function watchInputs(app: App): void {
  for (const [from, to] of [
    ["open-pictures", "pictures-input"],
    ["open-folder", "folder-input"],
    ["open-video", "video-input"],
  ] as const) {
    button(from).addEventListener("click", () => input(to).click());
    input(to).addEventListener("change", () => {
      const files = chosenFiles(input(to).files);
      input(to).value = "";
      if (files.length > 0) act(() => app.open(files));
    });
  }
  button("open-webcam").addEventListener("click", () => act(() => app.webcam()));
}

/** The whole page takes what is dropped or pasted. */
function watchDrops(app: App): void {
  const sign = byId("drop");
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    sign.hidden = !event.dataTransfer?.types.includes("Files");
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) sign.hidden = true;
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    sign.hidden = true;
    const { dataTransfer } = event;
    if (dataTransfer) act(async () => app.open(await droppedFiles(dataTransfer)));
  });
  window.addEventListener("paste", ({ clipboardData }) => {
    const files = [...(clipboardData?.files ?? [])].map((file) => ({ file, path: file.name }));
    if (files.length > 0) act(() => app.open(files));
  });
}

async function findSample(): Promise<Sample | null> {
  try {
    const response = await fetch("./samples/sample.json");
    return (await response.json()) as Sample | null;
  } catch {
    return null;
  }
}

async function offerSample(app: App): Promise<void> {
  const sample = await findSample();
  if (sample === null) return;
  byId("sample").hidden = false;
  button("try-sample").addEventListener("click", () =>
    act(async () => {
      await app.model.fetch(`./samples/${sample.model}`);
      await openPicture(app, `./samples/${sample.picture}`);
    }),
  );
}

/** `?model=ADDRESS&picture=ADDRESS` opens both; else the model of the last visit is loaded. */
async function begin(app: App): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const [model, picture] = [asked.get("model"), asked.get("picture")];
  if (model !== null) await app.model.fetch(model);
  else {
    const last = await rememberedModel();
    if (last !== null) await app.model.open(last);
  }
  if (picture !== null) await openPicture(app, picture);
}

followTheme();
keepOffline();
const app = new App();
watchInputs(app);
watchDrops(app);
act(() => offerSample(app));
act(() => begin(app));
