/** The element of the page with this id. @throws Error when the page has none of that kind */
export function byId<T extends HTMLElement = HTMLElement>(
  id: string,
  kind: new () => T = HTMLElement as unknown as new () => T,
): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

export const button = (id: string): HTMLButtonElement => byId(id, HTMLButtonElement);
export const input = (id: string): HTMLInputElement => byId(id, HTMLInputElement);
export const select = (id: string): HTMLSelectElement => byId(id, HTMLSelectElement);

type Attributes = Readonly<Record<string, string | number | boolean>>;

/** A new element; attributes that are false are left out. */
export function make<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes))
    if (value !== false) made.setAttribute(key, value === true ? "" : String(value));
  made.append(...children);
  return made;
}

/** Name and value pairs as a list's content. */
export function facts(pairs: readonly (readonly [name: string, value: string])[]): Node[] {
  return pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
}

/** Says something to everyone, screen readers included. */
export function tell(text: string): void {
  const status = byId("status");
  if (status.textContent !== text) status.textContent = text;
}

/** Tells of a fault until the next success or until it is closed. */
export function fail(error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  const close = make("button", { type: "button", "aria-label": "Close the message" }, "×");
  close.addEventListener("click", calm);
  byId("alert").replaceChildren(make("p", {}, text), close);
}

/** Takes the last fault away. */
export function calm(): void {
  byId("alert").replaceChildren();
}

/** Runs what a person asked for; a fault is told in the page. */
export function act(run: () => Promise<unknown> | unknown): void {
  Promise.resolve()
    .then(run)
    .catch((error: unknown) => {
      if ((error as Error)?.name !== "AbortError") fail(error);
    });
}

/** Offers something as a file. */
export function save(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
