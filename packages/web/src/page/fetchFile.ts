/** Told now and then while a file comes in: a screen reader speaks each time. */
export type Progress = (loaded: number, total: number | null) => void;

/** Milliseconds between two reports. */
const pause = 1500;

/** The parts of an answer as they come in. */
async function parts(response: Response, progress: Progress): Promise<Blob> {
  const total = Number(response.headers.get("Content-Length")) || null;
  const found: Uint8Array<ArrayBuffer>[] = [];
  let [loaded, told] = [0, performance.now()];
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    found.push(part.value);
    loaded += part.value.length;
    if (performance.now() - told < pause) continue;
    told = performance.now();
    progress(loaded, total);
  }
  return new Blob(found);
}

/**
 * Fetches a file from any server that allows it.
 * @throws Error in words of what went wrong and what to do
 */
export async function fetchFile(address: string, progress: Progress): Promise<Blob> {
  const far = new URL(address, location.href);
  if (!/^(https?|blob):$/.test(far.protocol))
    throw new Error(`${address}: expected an address that begins with https:// or http://`);
  let response: Response;
  try {
    response = await fetch(far, { credentials: "omit" });
  } catch (cause) {
    throw new Error(
      `${address} cannot be fetched: the address is wrong, there is no network, or its server does not allow other pages to read it (it must send Access-Control-Allow-Origin); download the file and drop it here instead`,
      { cause },
    );
  }
  if (!response.ok)
    throw new Error(`${address}: the server answered ${response.status} ${response.statusText}`);
  return parts(response, progress);
}
