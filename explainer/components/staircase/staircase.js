// Output size against input size as stairs, and below them the windows of one input size.
// Everything that is drawn was computed in Python; dragging only chooses which of it is shown.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const STAIRS = { top: 40, bottom: 118, left: 10, right: 292 };
const RULER = { top: 150, cell: 20 };

function make(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function scales(steps) {
  const first = steps[0].size;
  const last = steps[steps.length - 1].size;
  const high = Math.max(...steps.map((step) => step.output));
  const across = (STAIRS.right - STAIRS.left) / (last - first + 1);
  const up = (STAIRS.bottom - STAIRS.top) / Math.max(high, 1);
  return {
    first,
    last,
    across,
    x: (size) => STAIRS.left + (size - first) * across,
    y: (output) => STAIRS.bottom - output * up,
  };
}

function drawStairs(svg, root, scale) {
  const { steps, current } = root.scene;
  let path = "";
  let previous = null;
  for (const step of steps) {
    const x = scale.x(step.size);
    const y = scale.y(step.output);
    path += previous === step.size - 1 ? `V${y}` : `M${x} ${y}`;
    path += `H${x + scale.across}`;
    previous = step.size;
  }
  make(svg, "path", { d: path, class: "stairs" });
  // A label for every plateau's height and for as many sizes as fit.
  const every = Math.ceil(26 / scale.across);
  let labelled = -Infinity; // where the last label stands: the next one keeps clear of it
  for (const step of steps) {
    const x = scale.x(step.size) + scale.across / 2;
    if ((step.size - scale.first) % every === 0 || step.size === root.shown) {
      make(svg, "text", { x, y: STAIRS.bottom + 20, class: "tick" }, step.size);
    }
    if (step.label && x - labelled >= 26) {
      make(svg, "text", { x, y: scale.y(step.output) - 8, class: "label" }, step.label);
      labelled = x;
    }
    if (step.marks.includes("u")) {
      make(svg, "circle", { cx: x, cy: scale.y(step.output), r: 4, class: "wasteful" });
    }
  }
  const here = steps.find((step) => step.size === root.shown);
  if (here) {
    const x = scale.x(here.size);
    make(svg, "rect", {
      x,
      y: scale.y(here.output),
      width: scale.across,
      height: STAIRS.bottom - scale.y(here.output),
      class: here.size === current ? "here" : "here moving",
    });
    // Above the step, or inside it where a label already stands above.
    const y = here.label ? STAIRS.bottom - 6 : scale.y(here.output) - 8;
    make(svg, "text", { x: x + scale.across / 2, y, class: "height" }, here.output);
  }
  make(svg, "text", { x: 4, y: 18, class: "axis" }, root.scene.title);
  return here;
}

function drawRuler(svg, step) {
  const count = step.marks.length;
  const cell = Math.min(RULER.cell, (WIDTH - 12) / count);
  const left = (WIDTH - cell * count) / 2;
  for (let place = 0; place < count; place += 1) {
    const mark = step.marks[place];
    make(svg, "rect", {
      x: left + place * cell,
      y: RULER.top,
      width: cell,
      height: cell,
      class: `cell ${{ p: "padding", u: "unused" }[mark] ?? "used"}`,
      "data-cell": place - step.before,
      "data-mark": mark,
    });
  }
  let bottom = RULER.top + cell;
  step.windows.forEach((window, index) => {
    const y = RULER.top + cell + 9 + (index % 3) * 9;
    bottom = Math.max(bottom, y);
    const middle = (place) => left + (place + step.before + 0.5) * cell;
    make(svg, "line", {
      x1: middle(window[0]) - cell * 0.35,
      x2: middle(window[window.length - 1]) + cell * 0.35,
      y1: y,
      y2: y,
      class: "window",
      "data-window": index,
    });
    for (const place of window) make(svg, "circle", { cx: middle(place), cy: y, r: 2.6, class: "tap" });
  });
  return bottom;
}

function words(step, [size, output]) {
  const unused = [...step.marks].filter((mark) => mark === "u").length;
  const cells = unused === 1 ? "1 cell is" : `${unused} cells are`;
  return `${size} = ${step.size} gives ${output} = ${step.output}${unused ? `; ${cells} never read` : ""}`;
}

function draw(root) {
  const { steps, names } = root.scene;
  root.replaceChildren();
  if (!steps.length) return;
  const svg = make(root, "svg", { viewBox: `0 0 ${WIDTH} 226`, tabindex: 0, role: "slider" });
  const defs = make(svg, "defs", {});
  const hatch = { width: 6, height: 6, patternUnits: "userSpaceOnUse" };
  const lines = make(defs, "pattern", { id: "stairs-padding", ...hatch });
  make(lines, "path", { d: "M0 6L6 0", class: "hatch" });
  const cross = make(defs, "pattern", { id: "stairs-unused", ...hatch });
  make(cross, "path", { d: "M0 6L6 0M0 0L6 6", class: "hatch" });
  const scale = scales(steps);
  root.scale = scale;
  const here = drawStairs(svg, root, scale);
  if (here) {
    drawRuler(svg, here);
    const said = words(here, names);
    make(svg, "text", { x: WIDTH / 2, y: 220, class: "words" }, said);
    svg.setAttribute("aria-valuetext", said);
  }
  svg.setAttribute("aria-label", "input size");
  svg.setAttribute("aria-valuemin", scale.first);
  svg.setAttribute("aria-valuemax", scale.last);
  svg.setAttribute("aria-valuenow", root.shown);
  root.dataset.shown = root.shown;
}

function nearest(root, size) {
  const sizes = root.scene.steps.map((step) => step.size);
  return sizes.reduce((best, one) => (Math.abs(one - size) < Math.abs(best - size) ? one : best));
}

function show(root, size) {
  if (size === root.shown) return;
  const focused = root.contains(root.getRootNode().activeElement);
  root.shown = size;
  draw(root);
  if (focused) root.querySelector("svg").focus({ preventScroll: true });
}

function sizeAt(root, event) {
  const box = root.querySelector("svg").getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * WIDTH;
  return nearest(root, Math.floor((x - STAIRS.left) / root.scale.across) + root.scale.first);
}

function listen(root) {
  let dragging = false;
  root.addEventListener("pointerdown", (event) => {
    if (!root.scene.steps.length) return;
    dragging = true;
    root.setPointerCapture(event.pointerId);
    show(root, sizeAt(root, event));
  });
  root.addEventListener("pointermove", (event) => {
    if (dragging) show(root, sizeAt(root, event));
  });
  const release = () => {
    if (!dragging) return;
    dragging = false;
    if (root.shown !== root.scene.current) root.send(root.shown);
  };
  root.addEventListener("pointerup", release);
  root.addEventListener("pointercancel", () => {
    dragging = false;
    show(root, root.scene.current);
  });
  root.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!by || !root.scene.steps.length) return;
    event.preventDefault();
    event.stopPropagation();
    const sizes = root.scene.steps.map((step) => step.size);
    const place = sizes.indexOf(nearest(root, root.shown)) + by;
    if (place < 0 || place >= sizes.length) return;
    show(root, sizes[place]);
    root.send(root.shown);
  });
}

function drawIn({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector('[data-role="staircase"]');
  root.send = (size) => setTriggerValue("size", size);
  root.scene = data;
  root.shown = data.current;
  if (root.dataset.ready !== "true") listen(root);
  const focused = root.contains(root.getRootNode().activeElement);
  draw(root);
  if (focused) root.querySelector("svg")?.focus({ preventScroll: true });
  root.dataset.ready = "true";
}
