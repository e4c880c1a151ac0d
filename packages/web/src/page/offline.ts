const possible = import.meta.env.PROD && "serviceWorker" in navigator;

/** Whether the app can be kept; false in private windows, without https ... */
let kept: Promise<boolean> = Promise.resolve(false);

/** Keeps the app in this browser, where that is possible; else it needs the network each time. */
export function keepOffline(): void {
  if (!possible) return;
  kept = navigator.serviceWorker.register("./service.js", { scope: "./" }).then(
    () => true,
    () => false,
  );
}

const patience = 3000; // milliseconds

/** Resolves when what the app fetches is kept, or after a while: the runtime is fetched with the first model. */
export async function appControlled(): Promise<void> {
  if (!possible || navigator.serviceWorker.controller || !(await kept)) return;
  await new Promise<void>((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true });
    setTimeout(resolve, patience);
  });
}
