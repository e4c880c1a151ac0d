/** Keeps the app in this browser, where that is possible: https, localhost, no private window. */
export function keepOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  navigator.serviceWorker.register("./service.js", { scope: "./" }).catch(() => {
    // The app works without; it only needs the network next time.
  });
}

/** Resolves when what the app fetches is kept, or after a while: the runtime is fetched with the first model. */
export async function appControlled(): Promise<void> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator) || navigator.serviceWorker.controller) return;
  const patience = 3000; // milliseconds
  await Promise.race([
    new Promise<void>((resolve) =>
      navigator.serviceWorker.addEventListener("controllerchange", () => resolve(), { once: true }),
    ),
    new Promise<void>((resolve) => setTimeout(resolve, patience)),
  ]);
}
