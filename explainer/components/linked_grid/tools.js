// Colours, and small tests of what is where.

const CHIP = /\{([xwyp]):([^{}]*)\}/g;
const CIVIDIS = [
  [0, 34, 78],
  [18, 53, 112],
  [59, 73, 108],
  [87, 93, 109],
  [112, 113, 115],
  [138, 134, 120],
  [165, 156, 116],
  [195, 179, 105],
  [225, 204, 85],
  [254, 232, 56],
];
const SIGNED = [
  [0, 114, 178],
  [255, 255, 255],
  [213, 94, 0],
];
const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
  back: "M6 5h3v14H6zM20 5v14l-10-7z",
  forward: "M15 5h3v14h-3zM4 5v14l10-7z",
};

function icon(name) {
  return draw(
    "svg",
    { viewBox: "0 0 24 24", "aria-hidden": "true" },
    draw("path", { d: ICONS[name] }),
  );
}

/** A text for use inside a regular expression. */
function escaped(text) {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function sameSpot(a, b) {
  return a === b || Boolean(a && b && a.name === b.name && a.cell === b.cell);
}

function reducedMotion() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

function between(colours, share) {
  const place = clamp(share, 0, 1) * (colours.length - 1);
  const low = Math.min(Math.floor(place), colours.length - 2);
  const along = place - low;
  return colours[low].map((part, i) => Math.round(part + (colours[low + 1][i] - part) * along));
}

function isDark(rgb) {
  const [red, green, blue] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  // Where white and black ink have the same contrast.
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179;
}

/** Fill and ink of a number on its ramp; `most` is the largest magnitude in the grid. */
function rampColours(value, ramp, most) {
  const share = most ? value / most : 0;
  const fill = ramp === "signed" ? between(SIGNED, (share + 1) / 2) : between(CIVIDIS, share);
  return [`rgb(${fill.join()})`, isDark(fill) ? "#fff" : "#111"];
}

/** Any CSS colour as numbers, by drawing it. */
function rgbOf(colour) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
}

function chipOf(kind, text) {
  const chip = make("span", { class: "chip", "data-chip": kind });
  chip.textContent = text;
  return chip;
}

/** Text with chips, "{x:…}" in the colour of the input and so on, as nodes. */
function withChips(text) {
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(CHIP)) {
    nodes.push(text.slice(end, found.index), chipOf(found[1], found[2]));
    end = found.index + found[0].length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}
