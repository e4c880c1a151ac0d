/** Hue in degrees and lightness in percent of a class's colour. */
function shade(label: number): { readonly hue: number; readonly lightness: number } {
  const golden = 137.508; // degrees: successive hues never come near each other
  return { hue: Math.round((label * golden + 20) % 360), lightness: label % 2 === 0 ? 48 : 40 };
}

const saturation = 85; // percent

/** Colours of classes: far from each other by hue, the same for a class wherever it is drawn. */
export function colourOf(label: number): string {
  const { hue, lightness } = shade(label);
  return `hsl(${hue}, ${saturation}%, ${lightness}%)`;
}

/** Relative luminance of WCAG 2, 0-1. */
function luminance(label: number): number {
  const { hue, lightness } = shade(label);
  const light = lightness / 100;
  const spread = (saturation / 100) * Math.min(light, 1 - light);
  const channel = (n: number): number => {
    const k = (n + hue / 30) % 12;
    const value = light - spread * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * channel(0) + 0.7152 * channel(8) + 0.0722 * channel(4);
}

/** Black or white, whichever is read more easily on a class's colour. */
export function inkOn(label: number): "black" | "white" {
  // Above it black has the higher contrast: (l + 0.05) / 0.05 > 1.05 / (l + 0.05).
  const even = Math.sqrt(1.05 * 0.05) - 0.05;
  return luminance(label) > even ? "black" : "white";
}
