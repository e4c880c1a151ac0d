// Keeps the app for use without a network, and isolates the page on servers that send no headers for it.
const scope = self as unknown as ServiceWorkerGlobalScope;

/** Filled in by the build. */
const { version, files } = JSON.parse("__PRECACHE__") as {
  readonly version: string;
  readonly files: readonly string[];
};
const cacheName = `sepc-app-${version}`;

async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  await cache.addAll(files.map((file) => new Request(file, { cache: "reload" })));
  await scope.skipWaiting();
}

async function activate(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith("sepc-app-") && name !== cacheName);
  await Promise.all(old.map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/** Memory shared between threads needs these headers, on the page and on all that it loads. */
function isolated(response: Response): Response {
  if (response.status === 0 || response.redirected) return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** The app's own files from the cache; what is not yet there from the network, kept for the next time. */
async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const page = request.mode === "navigate";
  // Files do not depend on who asks, whatever the server says in "Vary".
  const kept = await cache.match(page ? "./" : request, { ignoreVary: true });
  if (kept !== undefined) return isolated(kept);
  const response = await fetch(request);
  if (response.status === 200 && new URL(request.url).pathname.includes("/assets/"))
    await cache.put(request, response.clone());
  return isolated(response);
}

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const own = request.url.startsWith(scope.registration.scope);
  if (request.method === "GET" && own) event.respondWith(answer(request));
});

export {};
