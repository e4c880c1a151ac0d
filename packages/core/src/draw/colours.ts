/** Colours of classes: far from each other by hue, the same for a class wherever it is drawn. */
export function colourOf(label: number): string {
  const golden = 137.508; // degrees: successive hues never come near each other
  const hue = (label * golden + 20) % 360;
  const lightness = label % 2 === 0 ? 48 : 40;
  return `hsl(${hue.toFixed(0)}, 85%, ${lightness}%)`;
}
