import { select } from "./dom.js";

const key = "sepc-theme";

/** Light, dark, or as the system has it; remembered. */
export function followTheme(): void {
  const choice = select("theme");
  const apply = (): void => {
    const { value } = choice;
    if (value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = value;
  };
  try {
    choice.value = localStorage.getItem(key) ?? "auto";
  } catch {
    // Storage may be forbidden: the choice then lasts as long as the page.
  }
  if (choice.value === "") choice.value = "auto";
  apply();
  choice.addEventListener("change", () => {
    apply();
    try {
      localStorage.setItem(key, choice.value);
    } catch {
      // As above.
    }
  });
}
