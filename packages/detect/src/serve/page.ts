import { createHash } from "node:crypto";

const style = `
:root { color-scheme: light dark; --line: #8886; --accent: #2563eb; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0; }
#drop { border: 2px dashed var(--line); border-radius: .75rem; padding: 2rem; text-align: center; margin: 1rem 0; }
#drop.over { border-color: var(--accent); }
form { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; }
canvas { max-width: 100%; height: auto; border-radius: .5rem; display: block; }
table { border-collapse: collapse; margin-top: 1rem; }
td, th { padding: .15rem .9rem .15rem 0; text-align: left; }
td + td, th + th { text-align: right; font-variant-numeric: tabular-nums; }
#said { min-height: 1.5rem; }
a { color: var(--accent); }
`;

const script = `
const by = (id) => document.getElementById(id);
const [input, score, said, canvas, rows] = ["file", "score", "said", "canvas", "rows"].map(by);
let picture = null, bitmap = null, turn = 0;

const colour = (label) => "hsl(" + ((label - 1) * 137.5) % 360 + " 75% 42%)";

function draw(objects) {
  const pen = canvas.getContext("2d");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  pen.drawImage(bitmap, 0, 0);
  const scale = Math.sqrt(bitmap.width * bitmap.height) / 640;
  const size = Math.max(11, 15 * scale);
  pen.lineWidth = Math.max(1.5, 2.5 * scale);
  pen.font = size + "px system-ui, sans-serif";
  pen.textBaseline = "top";
  for (const object of [...objects].reverse()) {
    const { x, y, width, height } = object.box;
    const text = object.label + " " + Math.round(100 * object.score) + "%";
    pen.strokeStyle = pen.fillStyle = colour(object.category_id);
    pen.strokeRect(x, y, width, height);
    const top = y >= 1.3 * size ? y - 1.3 * size : y;
    pen.fillRect(x, top, pen.measureText(text).width + size / 2, 1.3 * size);
    pen.fillStyle = "white";
    pen.fillText(text, x + size / 4, top + size / 8);
  }
}

function list(objects) {
  rows.replaceChildren(...objects.map((object) => {
    const row = document.createElement("tr");
    const { x, y, width, height } = object.box;
    const box = [x, y, width, height].map((value) => value.toFixed(0)).join(", ");
    for (const text of [object.label, object.score.toFixed(3), box]) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
}

async function look() {
  if (picture === null) return;
  const mine = ++turn;
  said.textContent = "Looking ...";
  try {
    const answer = await fetch("v1/detect?score=" + score.value, {
      method: "POST",
      headers: { "content-type": "application/octet-stream" },
      body: picture,
    });
    const found = await answer.json();
    if (mine !== turn) return;
    if (!answer.ok) throw new Error(found.title + ": " + found.detail);
    said.textContent = found.objects.length + (found.objects.length === 1 ? " object in " : " objects in ") +
      found.image.width + "x" + found.image.height + " pixels, " +
      found.timings_ms.infer.toFixed(0) + " ms in the network";
    list(found.objects);
    if (bitmap === null) throw new Error("this browser cannot show the picture; the list below is of it");
    draw(found.objects);
  } catch (error) {
    if (mine === turn) said.textContent = error.message;
  }
}

async function take(file) {
  if (!file) return;
  picture = file;
  bitmap = await createImageBitmap(file).catch(() => null);
  look();
}

input.onchange = () => take(input.files[0]);
score.oninput = () => { by("least").textContent = Number(score.value).toFixed(2); };
score.onchange = look;
for (const name of ["dragover", "dragleave", "drop"]) by("drop").addEventListener(name, (event) => {
  event.preventDefault();
  by("drop").classList.toggle("over", name === "dragover");
  if (name === "drop") take(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => take(event.clipboardData.files[0]));
fetch("v1/model").then((answer) => answer.json()).then((model) => {
  by("model").textContent = model.name + ": " + model.classes.map(({ label }) => label).join(", ");
  score.min = model.limits.least_score;
  score.value = model.limits.default_score;
  score.oninput();
});
`;

/** A page that asks this server about a picture of the visitor's; it loads nothing from elsewhere. */
export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>sepc serve</title>
<style>${style}</style>
<h1>sepc serve</h1>
<p id="model"></p>
<div id="drop">
  <form>
    <label>Picture <input type="file" id="file" accept="image/*"></label>
    <label>Least score <input type="range" id="score" min="0.05" max="1" step="0.01" value="0.3"></label>
    <output id="least" for="score">0.30</output>
  </form>
  <p>or drop one here, or paste one</p>
</div>
<p id="said" role="status"></p>
<canvas id="canvas" width="0" height="0" role="img" aria-label="the picture with what was found"></canvas>
<table>
  <thead><tr><th>Object</th><th>Score</th><th>x, y, width, height</th></tr></thead>
  <tbody id="rows"></tbody>
</table>
<p><a href="openapi.json">API</a> · <a href="v1/model">model</a> · <a href="metrics">metrics</a></p>
<script>${script}</script>
</html>
`;

const hashOf = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** What the page may do: run its own script, ask this server, nothing else. */
export const pagePolicy = [
  "default-src 'none'",
  `script-src ${hashOf(script)}`,
  `style-src ${hashOf(style)}`,
  "connect-src 'self'",
  "img-src 'self' blob:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");
