// Inside the skips: draws what Python computed. Nothing here adds or interpolates scores; hovering
// looks values up in the maps that were sent.

const BLUE = [0, 114, 178];
const ORANGE = [213, 94, 0];
const SVG = "http://www.w3.org/2000/svg";
const LATE_MS = 3000; // longer than a busy server takes for an answer
const KEYS = "Arrows move the probe, Enter pins the pixel, Escape lets it go.";

export default function (component) {
  const host = component.parentElement.querySelector(".skips");
  // The function runs again on every change of the data, in the same DOM: build once.
  const explorer = (host.explorer ??= new Explorer(host));
  explorer.send = component.setTriggerValue;
  explorer.update(component.data);
  return ending(host, () => explorer.leave());
}

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function typed(base64, Type) {
  return new Type(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
}

function text(value, digits = 2) {
  const rounded = value.toFixed(digits);
  return Number(rounded) === 0 ? (0).toFixed(digits) : rounded.replace("-", "−");
}

function colour(share) {
  const [r, g, b] = share < 0 ? BLUE : ORANGE;
  const away = Math.min(1, Math.abs(share));
  return [255 + (r - 255) * away, 255 + (g - 255) * away, 255 + (b - 255) * away];
}

/** A grid of numbers of one class and where its cells sit in the photo. */
class Grid {
  constructor(values, rows, cols, stride, first, unit = 1) {
    Object.assign(this, { values, rows, cols, stride, first, unit });
  }

  nearest(pixel, cells) {
    return Math.max(0, Math.min(cells - 1, Math.round((pixel - this.first) / this.stride)));
  }

  at(y, x) {
    return this.values[this.nearest(y, this.rows) * this.cols + this.nearest(x, this.cols)] * this.unit;
  }

  largest() {
    return this.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) * this.unit;
  }

  /** Left, top, right, bottom in pixel coordinates. */
  extent() {
    const start = this.first - this.stride / 2;
    return [start, start, start + this.cols * this.stride, start + this.rows * this.stride];
  }

  paint(limit) {
    const canvas = make("canvas", { width: this.cols, height: this.rows });
    const context = canvas.getContext("2d");
    const image = context.createImageData(this.cols, this.rows);
    for (let i = 0; i < this.values.length; i++) {
      const [r, g, b] = colour((this.values[i] * this.unit) / limit);
      image.data.set([r, g, b, 255], 4 * i);
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }
}

class Explorer {
  constructor(host) {
    this.host = host;
    this.probe = null; // what the pointer or the arrows are at; null: at the pinned pixel
    this.hot = null; // the cell that is pointed at
    this.own = null; // each map on its own colour scale; null: not chosen, see usesOwn
    this.panels = new Map();
    this.flow = make("div", { class: "flow" });
    this.wires = draw("svg", { class: "wires", "aria-hidden": "true" });
    this.strip = make("div", { class: "strip" });
    this.ledger = make("div", { class: "ledger" });
    this.compare = make("div", { class: "compare" });
    this.live = make("div", { class: "live", "aria-live": "polite" });
    host.replaceChildren(this.flow, this.strip, this.ledger, this.compare, this.live);
    this.resized = new ResizeObserver(() => this.data && this.layout());
    this.resized.observe(host);
    this.ledger.addEventListener("pointerover", (event) => this.pointAt(event.target));
    this.ledger.addEventListener("pointerleave", () => this.highlight(null));
    this.ledger.addEventListener("focusin", (event) => this.pointAt(event.target));
    this.ledger.addEventListener("focusout", () => this.highlight(null));
    host.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button?.dataset.remove) this.toggle(button.dataset.remove);
      if (button?.dataset.role === "restore") this.remove([], []);
      if (button?.dataset.role === "scale") this.rescale();
    });
  }

  leave() {
    this.resized.disconnect();
    delete this.host.explorer;
  }

  // ------------------------------------------------------------------ data

  update(data) {
    const before = this.data;
    const words = [data.ledger.text, data.words].join(". ");
    this.data = data;
    this.host.dataset.ready = "false";
    this.settle({ strides: data.removedStrides, cells: data.removedCells }, data.photo !== before?.photo);
    this.probe = null;
    this.grids = new Map();
    data.maps.forEach((map, i) => {
      const grid = (values) =>
        new Grid(typed(values, Float32Array), map.rows, map.cols, map.stride, map.first);
      this.grids.set(`score-${map.stride}`, grid(map.scores));
      if (i) this.grids.set(`sum-${map.stride}`, grid(map.sums));
    });
    const { rows, cols, step, unit, values } = data.output;
    this.grids.set("output", new Grid(typed(values, Int16Array), rows, cols, step, 0, unit));
    this.paintAll();
    this.cells = data.ledger.parts.flatMap((part) =>
      part.cells.map((cell) => ({ ...cell, stride: part.stride })),
    );
    const extents = [...this.grids.values()].map((grid) => grid.extent());
    const photo = [-0.5, -0.5, data.width - 0.5, data.height - 0.5];
    const reach = [...extents, photo];
    const side = (i, most) => most(...reach.map((extent) => extent[i]));
    this.view = [side(0, Math.min), side(1, Math.min), side(2, Math.max), side(3, Math.max)];
    this.focusAround(() => {
      const structure = data.maps.map((map) => map.stride).join();
      if (structure !== this.structure) this.build();
      this.structure = structure;
      this.captions();
      this.writeStrip();
      this.writeLedger();
      this.writeCompare();
    });
    this.layout();
    if (before && words !== this.said) this.live.textContent = words;
    this.said = words;
    const images = [...this.host.querySelectorAll("img")].filter((image) => image.src);
    Promise.all(images.map((image) => image.decode().catch(() => {}))).then(() => {
      if (this.data !== data) return;
      this.host.dataset.pixel = data.pixel.join();
      this.host.dataset.ready = "true";
    });
  }

  /** One scale shows how much each map adds; where that leaves a map blank, each gets its own. */
  usesOwn() {
    return this.own ?? this.data.maps.some((map) => map.largest < 0.1 * this.data.limit);
  }

  paintAll() {
    const own = this.usesOwn();
    this.paintings = new Map(
      [...this.grids].map(([name, grid]) => {
        return [name, grid.paint(own ? grid.largest() || 1 : this.data.limit)];
      }),
    );
  }

  /** Rewriting the words must not throw a keyboard user out of the button just pressed. */
  focusAround(work) {
    const id = this.host.getRootNode().activeElement?.dataset.focus;
    work();
    if (id) this.host.querySelector(`[data-focus="${CSS.escape(id)}"]`)?.focus();
  }

  // ------------------------------------------------------------------ the flow diagram

  build() {
    const { maps, ups } = this.data;
    this.panels.clear();
    this.flow.replaceChildren(this.wires);
    const place = (element, column, row) => {
      element.style.setProperty("--column", column);
      element.style.setProperty("--row", row);
      this.flow.append(element);
    };
    maps.forEach((map, i) => {
      place(this.panel(`score-${map.stride}`), 2 * i + 1, i ? 2 : 1);
      if (i) place(this.panel(`sum-${map.stride}`), 2 * i + 1, 1);
      else place(this.panel("lens"), 1, 2);
      const up = ups[i];
      const next = maps[i + 1];
      const numbers = `kernel ${up.kernel}|stride ${up.stride}|padding ${up.padding}`.split("|");
      place(
        make(
          "div",
          { class: "up", title: "bilinear transposed convolution" },
          make("b", {}, `${up.stride}× up`),
          make("span", {}, ...numbers.flatMap((line) => [`${line} `, make("br")])),
          make("i", {}, next ? `+ ${next.name} =` : "= output"),
        ),
        2 * i + 2,
        1,
      );
    });
    place(this.panel("output"), 2 * maps.length + 1, 1);
    place(this.panel("photo"), 2 * maps.length + 1, 2);
  }

  panel(name) {
    const picture = ["photo", "lens"].includes(name);
    const inside = picture
      ? make(
          "div",
          { class: "sheet" },
          make("img", { class: "photo", alt: "" }),
          make("img", { class: "labels", alt: "" }),
        )
      : make("canvas");
    const marks = draw("svg", { class: "marks", "aria-hidden": "true" });
    const frame = make(
      "div",
      { class: "frame", "data-map": name, tabindex: 0, role: "application", "data-focus": name },
      inside,
      marks,
    );
    const caption = make("figcaption");
    this.panels.set(name, { frame, marks, inside, caption });
    frame.addEventListener("pointermove", (event) => this.hover(name, event));
    frame.addEventListener("pointerleave", () => this.moveTo(null));
    frame.addEventListener("click", (event) => {
      this.hover(name, event);
      if (this.probe) this.pin();
    });
    frame.addEventListener("keydown", (event) => this.key(name, event));
    frame.addEventListener("blur", () => this.moveTo(null));
    return make("figure", { class: name }, frame, caption);
  }

  captions() {
    const { maps, classes, height, width, name, head, legend } = this.data;
    const write = (panel, title, shape, label, button = null) => {
      const { caption, frame } = this.panels.get(panel);
      caption.replaceChildren(make("b", {}, title), ...(button ? [button] : []), shape);
      frame.setAttribute("aria-label", `${label}. ${KEYS}`);
    };
    maps.forEach((map, i) => {
      const size = `${classes} × ${map.rows} × ${map.cols}`;
      const shape = (panel) => {
        const most = make("span", { title: "no score in this map is larger" });
        const largest = this.grids.get(panel).largest();
        most.textContent = largest ? `±${text(largest, 1)}` : "all 0";
        return make("span", { class: "shape" }, `1 of ${size}`, most);
      };
      const label = `scores of ${name} from ${map.name}, ${map.rows} by ${map.cols} cells`;
      const title = i ? map.name : `${map.name} score`;
      write(`score-${map.stride}`, title, shape(`score-${map.stride}`), label, this.removeButton(map, "map"));
      if (i) {
        const sum = `sum ${map.stride}`;
        write(`sum-${map.stride}`, sum, shape(`sum-${map.stride}`), `${sum} for ${name}, as many cells`);
      }
    });
    const size = `1 of ${classes} × ${height} × ${width}`;
    const shape = make("span", { class: "shape" }, size);
    write("output", `output: ${name}`, shape, `output score of ${name}, one a pixel`);
    const names = legend.slice(0, 2).map((entry) =>
      make("span", { class: "class" }, make("i", { style: `background:${entry.colour}` }), entry.name),
    );
    if (legend.length > 2) names.push(make("span", {}, `+ ${legend.length - 2}`));
    if (!legend.length) names.push(make("span", {}, "background only"));
    write("photo", `${head} labels`, make("span", { class: "shape" }, ...names), "photo with labels");
    const [y, x] = this.data.pixel;
    const ends = maps.length > 1 ? [maps[0], maps.at(-1)] : maps;
    const verdicts = ends.map((map) => `${map.stride}s ${map.label}`).join(" → ");
    const around = make("span", { class: "shape", "data-role": "verdicts" }, verdicts);
    write("lens", `around y ${y}, x ${x}`, around, "photo around the pinned pixel, with its cells");
  }

  removeButton(map, where) {
    const what = map.removed ? "put back" : "remove";
    const kind = map.stride === this.data.maps[0].stride ? "map" : "skip"; // the coarsest is no skip
    return make(
      "button",
      {
        type: "button",
        "data-remove": map.stride,
        "data-focus": `${where}-${map.stride}`,
        "aria-pressed": String(map.removed),
        "aria-label": `${what} ${map.name}, the whole map`,
      },
      where === "part" && !map.removed ? `remove this ${kind}` : what,
    );
  }

  // ------------------------------------------------------------------ sizes and drawing

  layout() {
    const width = this.host.clientWidth;
    if (!width) return;
    const columns = this.data.maps.length + 1;
    const stacked = width < 190 * columns;
    this.flow.classList.toggle("stacked", stacked);
    const gap = window.innerWidth >= 1700 ? 136 : 96;
    const wide = this.view[2] - this.view[0];
    const high = this.view[3] - this.view[1];
    const room = stacked ? (width - 16) / 2 : (width - gap * (columns - 1)) / columns;
    const tallest = stacked ? 1.4 * room : Math.max(168, Math.min(380, 0.25 * window.innerHeight));
    const scale = Math.min(room / wide, tallest / high);
    this.scale = scale;
    this.flow.style.setProperty("--room", `${room}px`);
    this.flow.style.setProperty("--gap", `${gap}px`);
    this.flow.style.setProperty("--high", `${high * scale}px`);
    this.flow.style.setProperty("--columns", stacked ? 2 : columns);
    for (const [name, panel] of this.panels) {
      // A photo far from square leaves a strip; the lens stays a picture.
      const most = Math.min(room, 1.6 * tallest);
      panel.width = name === "lens" ? Math.min(most, Math.max(wide * scale, 120)) : wide * scale;
      panel.height = name === "lens" ? Math.max(high * scale, Math.min(tallest, 120)) : high * scale;
      panel.frame.style.width = `${panel.width}px`;
      panel.frame.style.height = `${panel.height}px`;
      panel.scale = scale;
      [panel.left, panel.top] = this.view;
      if (name === "lens") this.aimLens(panel);
      if (this.grids.has(name)) this.paint(name, panel);
      else this.placePhoto(panel);
      this.mark(name, panel);
    }
    this.wire(stacked);
  }

  /** The lens shows the block of the coarsest cells around the pinned pixel. */
  aimLens(panel) {
    const coarse = this.cells.filter((cell) => cell.stride === this.data.maps[0].stride);
    const mean = (of) => coarse.reduce((sum, cell) => sum + of(cell), 0) / coarse.length;
    const [y, x] = coarse.length ? [mean((c) => c.y), mean((c) => c.x)] : this.data.pixel;
    const spread = (of) => Math.max(...coarse.map(of)) - Math.min(...coarse.map(of));
    const apart = coarse.length ? Math.max(spread((c) => c.y), spread((c) => c.x)) : 0;
    const { stride } = this.data.maps[0];
    const across = Math.max(stride, apart) + 1.2 * stride;
    panel.scale = Math.min(panel.width, panel.height) / across;
    panel.left = x - panel.width / panel.scale / 2;
    panel.top = y - panel.height / panel.scale / 2;
  }

  paint(name, panel) {
    const grid = this.grids.get(name);
    const canvas = panel.inside;
    const density = window.devicePixelRatio || 1;
    canvas.width = Math.round(panel.width * density);
    canvas.height = Math.round(panel.height * density);
    const context = canvas.getContext("2d");
    const scale = panel.scale * density;
    const [left, top, right, bottom] = grid.extent();
    const to = (x, y) => [(x - panel.left) * scale, (y - panel.top) * scale];
    context.imageSmoothingEnabled = false;
    const [x, y] = to(left, top);
    if (name === "output") {
      context.beginPath();
      context.rect(...to(-0.5, -0.5), this.data.width * scale, this.data.height * scale);
      context.clip();
    }
    context.drawImage(this.paintings.get(name), x, y, (right - left) * scale, (bottom - top) * scale);
    const cell = grid.stride * scale;
    if (name !== "output" && cell >= 6 * density) {
      context.strokeStyle = "rgba(0, 0, 0, 0.14)";
      context.lineWidth = density;
      context.beginPath();
      for (let i = 1; i < grid.cols; i++) {
        context.moveTo(x + i * cell, y);
        context.lineTo(x + i * cell, y + grid.rows * cell);
      }
      for (let i = 1; i < grid.rows; i++) {
        context.moveTo(x, y + i * cell);
        context.lineTo(x + grid.cols * cell, y + i * cell);
      }
      context.stroke();
    }
  }

  placePhoto(panel) {
    const [photo, labels] = panel.inside.children;
    for (const [image, source] of [
      [photo, this.data.photo],
      [labels, this.data.after ?? this.data.before],
    ]) {
      if (image.src !== source) image.src = source;
    }
    Object.assign(panel.inside.style, {
      left: `${(-0.5 - panel.left) * panel.scale}px`,
      top: `${(-0.5 - panel.top) * panel.scale}px`,
      width: `${this.data.width * panel.scale}px`,
      height: `${this.data.height * panel.scale}px`,
    });
  }

  /** The cells of the ledger, what is removed, the photo's border, and the pinned pixel. */
  mark(name, panel) {
    const { marks, scale } = panel;
    const place = (x, y) => [(x - panel.left) * scale, (y - panel.top) * scale];
    const box = (x, y, size, attributes) => {
      const [left, top] = place(x - size / 2, y - size / 2);
      const side = { x: left, y: top, width: size * scale, height: size * scale };
      return draw("rect", { ...side, ...attributes });
    };
    const hatch = draw("pattern", {
      id: `hatch-${name}`, width: 9, height: 9, patternUnits: "userSpaceOnUse",
    });
    hatch.append(
      draw("path", { d: "M0 0L9 9M9 0L0 9", class: "under" }),
      draw("path", { d: "M0 0L9 9M9 0L0 9", class: "over" }),
    );
    marks.replaceChildren(hatch);
    marks.setAttribute("viewBox", `0 0 ${panel.width} ${panel.height}`);
    const hatched = { fill: `url(#hatch-${name})` };
    const [left, top] = place(-0.5, -0.5);
    const size = { width: this.data.width * scale, height: this.data.height * scale };
    marks.append(draw("rect", { x: left, y: top, ...size, class: "border" }));
    const map = this.data.maps.find((candidate) => name === `score-${candidate.stride}`);
    if (map?.removed) {
      marks.append(draw("rect", { width: panel.width, height: panel.height, ...hatched }));
    }
    const outside = new Set(this.cells.map((cell) => cell.id));
    if (map && !map.removed) {
      const { first, stride } = map;
      for (const id of this.data.removedCells.filter((id) => !outside.has(id))) {
        const [of, row, col] = id.split(",").map(Number);
        if (of !== stride) continue;
        marks.append(box(first + stride * col, first + stride * row, stride, hatched));
      }
    }
    const largest = Math.max(...this.cells.map((cell) => Math.abs(cell.number)), 1e-9);
    for (const cell of this.cells) {
      if (!(map ? map.stride === cell.stride : this.panels.get(name).inside.tagName === "DIV")) {
        continue;
      }
      const side = cell.stride * scale;
      const share = Math.abs(cell.number) / largest;
      const line = Math.min(1.2 + 3.8 * share, Math.max(1, side / 5));
      const group = draw("g", {
        "data-cell": cell.id,
        class: cell.number < 0 ? "cell less" : "cell",
        style: `--line:${line}px`,
      });
      if (cell.removed) group.append(box(cell.x, cell.y, cell.stride, hatched));
      // Inside the cell's edge, so that neighbours' fat lines do not cover each other.
      const inner = Math.max(cell.stride - (line + 1) / scale, cell.stride / 2);
      group.append(
        box(cell.x, cell.y, inner, { class: "under" }),
        box(cell.x, cell.y, inner, { class: "over" }),
      );
      marks.append(group);
    }
    panel.cross = ["under", "over"].map((kind) => draw("path", { class: `cross ${kind}` }));
    const [y, x] = this.data.pixel;
    const [px, py] = place(x, y);
    const dot = (kind) => draw("circle", { cx: px, cy: py, r: name === "lens" ? 3.5 : 9, class: `pin ${kind}` });
    marks.append(...panel.cross, dot("under"), dot("over"));
    this.drawCross(panel);
    this.showHot();
  }

  drawCross(panel) {
    const at = this.probe;
    const path = [];
    if (at) {
      const x = (at.x - panel.left) * panel.scale;
      const y = (at.y - panel.top) * panel.scale;
      path.push(`M${x} 0V${y - 4}M${x} ${y + 4}V${panel.height}`);
      path.push(`M0 ${y}H${x - 4}M${x + 4} ${y}H${panel.width}`);
    }
    for (const line of panel.cross) line.setAttribute("d", path.join(""));
  }

  wire(stacked) {
    this.wires.replaceChildren();
    if (stacked) return;
    const origin = this.flow.getBoundingClientRect();
    const corner = (name) => {
      const rect = this.panels.get(name).frame.getBoundingClientRect();
      const middle = rect.top - origin.top + rect.height / 2;
      return { left: rect.left - origin.left, right: rect.right - origin.left, middle };
    };
    const line = (d, arrow) =>
      this.wires.append(draw("path", { d, class: arrow ? "wire arrow" : "wire" }));
    const head = (x, y) => line(`M${x - 9} ${y - 6}L${x} ${y}L${x - 9} ${y + 6}`);
    const { maps } = this.data;
    maps.forEach((map, i) => {
      const from = corner(i ? `sum-${map.stride}` : `score-${map.stride}`);
      const next = maps[i + 1];
      const to = corner(next ? `sum-${next.stride}` : "output");
      const y = from.middle;
      if (!next) {
        line(`M${from.right + 4} ${y}H${to.left - 4}`);
        head(to.left - 4, y);
        return;
      }
      const plus = to.left - 26;
      const added = corner(`score-${next.stride}`);
      line(`M${from.right + 4} ${y}H${plus - 11}`);
      line(`M${plus + 11} ${y}H${to.left - 4}`);
      head(to.left - 4, y);
      line(`M${added.left - 4} ${added.middle}H${plus}V${y + 11}`);
      this.wires.append(draw("circle", { cx: plus, cy: y, r: 11, class: "plus" }));
      line(`M${plus - 6} ${y}H${plus + 6}M${plus} ${y - 6}V${y + 6}`);
    });
  }

  // ------------------------------------------------------------------ pointing

  /** The pixel of a pointer event, on the pixels whose output was sent. */
  pixelOf(name, event) {
    const panel = this.panels.get(name);
    const rect = panel.frame.getBoundingClientRect();
    const x = panel.left + ((event.clientX - rect.left) * panel.width) / rect.width / panel.scale;
    const y = panel.top + ((event.clientY - rect.top) * panel.height) / rect.height / panel.scale;
    return this.snap(y, x);
  }

  snap(y, x) {
    const { rows, cols, step } = this.data.output;
    const fit = (value, cells) => step * Math.max(0, Math.min(cells - 1, Math.round(value / step)));
    return { y: fit(y, rows), x: fit(x, cols) };
  }

  hover(name, event) {
    this.moveTo(this.pixelOf(name, event));
    const grid = this.grids.get(name);
    const strides = grid ? [grid.stride] : this.data.maps.map((map) => map.stride).reverse();
    const { x, y } = this.probe;
    const inside = (cell) => 2 * Math.max(Math.abs(cell.x - x), Math.abs(cell.y - y)) <= cell.stride;
    const hits = name.startsWith("sum") || name === "output" ? [] : this.cells.filter(inside);
    const hit = strides.map((stride) => hits.find((cell) => cell.stride === stride)).find(Boolean);
    this.highlight(hit?.id ?? null);
  }

  moveTo(pixel) {
    this.probe = pixel;
    if (!pixel) this.highlight(null);
    for (const panel of this.panels.values()) this.drawCross(panel);
    this.readOut();
  }

  pointAt(target) {
    this.highlight(target.closest("[data-cell]")?.dataset.cell ?? null);
  }

  highlight(id) {
    if (id === this.hot) return;
    this.hot = id;
    this.showHot();
  }

  showHot() {
    for (const element of this.host.querySelectorAll("[data-cell]")) {
      element.classList.toggle("hot", element.dataset.cell === this.hot);
    }
  }

  key(name, event) {
    const ways = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const way = ways[event.key];
    const [y, x] = this.data.pixel;
    if (way) {
      // One cell of this map at a time; with Shift the finest step there is.
      const { step } = this.data.output;
      const finest = this.data.maps.at(-1).stride;
      const grid = this.grids.get(name);
      const stride = event.shiftKey ? step : Math.max(step, grid?.stride > 1 ? grid.stride : finest);
      const by = name === "output" || !grid ? Math.max(event.shiftKey ? step : finest, step) : stride;
      const from = this.probe ?? { y, x };
      this.moveTo(this.snap(from.y + way[0] * by, from.x + way[1] * by));
      this.live.textContent = this.spoken();
    } else if (event.key === "Enter") {
      this.probe ??= { y, x };
      this.pin();
    } else if (event.key === "Escape") {
      if (this.probe) this.moveTo(null);
      else this.send("free", true);
    } else return;
    event.preventDefault();
  }

  pin() {
    this.host.dataset.ready = "false";
    this.send("pin", { y: this.probe.y, x: this.probe.x });
  }

  toggle(what) {
    const flip = (list, item) =>
      list.includes(item) ? list.filter((other) => other !== item) : [...list, item];
    const { strides, cells } = this.removed;
    if (what.includes(",")) this.remove(strides, flip(cells, what));
    else this.remove(flip(strides, Number(what)), cells);
  }

  rescale() {
    this.own = !this.usesOwn();
    this.paintAll();
    this.focusAround(() => this.writeStrip());
    this.layout();
  }

  /** Everything that is removed goes to Python at once, so that fast clicks cannot get lost. */
  remove(strides, cells) {
    this.removed = this.asked = { strides: strides.sort(), cells: cells.sort() };
    this.patience = performance.now() + LATE_MS;
    this.host.dataset.ready = "false";
    this.send("remove", this.asked);
  }

  /** What Python has removed counts, unless a newer click is on its way there. */
  settle({ strides, cells }, anew) {
    const answer = { strides: [...strides].sort(), cells: [...cells].sort() };
    const answered = JSON.stringify(answer) === JSON.stringify(this.asked);
    if (anew || answered || performance.now() > this.patience) this.asked = null;
    this.removed = this.asked ?? answer;
  }

  // ------------------------------------------------------------------ words and numbers

  writeStrip() {
    const { maps, limit } = this.data;
    const own = this.usesOwn();
    const [low, high] = own ? ["−", "+"] : [`−${limit}`, `+${limit}`];
    const scale = make(
      "div",
      { class: "scale" },
      make("span", {}, low),
      make("i", { role: "img", "aria-label": `colours from ${low} (blue) over 0 (white) to ${high} (orange)` }),
      make("span", {}, high),
      make(
        "button",
        { type: "button", "data-role": "scale", "data-focus": "scale", "aria-pressed": String(own) },
        "own scale each",
      ),
    );
    const names = [];
    maps.forEach((map, i) => {
      names.push([`score-${map.stride}`, map.name]);
      if (i) names.push([`sum-${map.stride}`, `sum ${map.stride}`]);
    });
    names.push(["output", "output"]);
    this.values = new Map(names.map(([name]) => [name, make("b")]));
    this.where = make("b");
    this.strip.replaceChildren(
      scale,
      make(
        "div",
        { class: "readout", "data-role": "readout" },
        make("span", { class: "where" }, make("i", {}, "at y, x"), this.where),
        ...names.map(([name, label]) =>
          make("span", { "data-value": name }, make("i", {}, label), this.values.get(name)),
        ),
      ),
    );
    this.readOut();
  }

  readOut() {
    const [y, x] = this.data.pixel;
    const at = this.probe ?? { y, x };
    this.where.textContent = `${at.y}, ${at.x}`;
    this.strip.classList.toggle("probing", this.probe !== null);
    for (const [name, element] of this.values) {
      element.textContent = text(this.grids.get(name).at(at.y, at.x));
    }
    // The pinned pixel may lie between those that were sent: its ledger knows the score.
    if (!this.probe) this.values.get("output").textContent = this.data.ledger.total;
  }

  spoken() {
    const values = [...this.values].map(([name, element]) => `${name} ${element.textContent}`);
    return `y ${this.where.textContent.replace(",", ", x")}: ${values.join(", ")}`;
  }

  /** "dog 8.21 = 6.10 stride 32 + …" as chips. */
  sum(ledger, role) {
    const line = make("div", { class: "sum", "data-role": role });
    line.append(make("b", { class: "name" }, ledger.name), " ", make("b", { class: "total" }, ledger.total));
    line.append(make("span", { class: "operator" }, " = "));
    ledger.parts.forEach((part, i) => {
      const minus = part.negative;
      if (i) line.append(make("span", { class: "operator" }, minus ? " − " : " + "));
      const number = !i && minus ? `−${part.magnitude}` : part.magnitude;
      const tone = minus ? "less" : "more";
      line.append(
        make(
          "span",
          { class: `chip ${part.removed ? "gone" : tone}` },
          make("b", {}, number),
          " ",
          make("span", {}, part.name),
        ),
      );
    });
    if (ledger.was) line.append(make("span", { class: "was" }, ` was ${ledger.was}`));
    return line;
  }

  writeLedger() {
    const { ledger, other, lead, words, without } = this.data;
    const first = this.sum(ledger, "ledger");
    const second = this.sum(other, "other");
    second.prepend(make("span", { class: "lead" }, lead), " ");
    const parts = ledger.parts.map((part) =>
      make(
        "section",
        { class: part.removed ? "part gone" : "part", "aria-label": `${part.name} ${part.value}` },
        make(
          "header",
          {},
          make("b", {}, part.name),
          make("b", { class: "number" }, part.value),
          this.removeButton(part, "part"),
        ),
        ...part.cells.map((cell) => this.row(cell, part)),
      ),
    );
    const restore = words
      ? make(
          "p",
          { class: "words", "data-role": "words" },
          make("span", {}, words),
          make("button", { type: "button", "data-role": "restore" }, "Put everything back"),
        )
      : null;
    this.ledger.replaceChildren(
      make("div", { class: "sums" }, first, second),
      ...(restore ? [restore] : []),
      make("div", { class: "parts" }, ...parts),
    );
    this.ledger.dataset.without = without;
  }

  row(cell, part) {
    const what = cell.removed ? "put back" : "remove";
    return make(
      "div",
      { class: cell.removed ? "row gone" : "row", "data-cell": cell.id },
      make("span", { class: "place", title: "row, column of the cell" }, `cell ${cell.row}, ${cell.col}`),
      make("span", { class: "product" }, `${cell.weight} × `, make("span", { class: "score" }, cell.score)),
      make("span", { class: "number" }, `= ${cell.contribution}`),
      make(
        "button",
        {
          type: "button",
          "data-remove": cell.id,
          "data-focus": `cell-${cell.id}`,
          "aria-pressed": String(cell.removed),
          "aria-label": `${what} cell ${cell.row}, ${cell.col} of ${part.name}`,
          disabled: part.removed,
        },
        what,
      ),
    );
  }

  writeCompare() {
    const { before, after, changes, photo, without, width, height } = this.data;
    this.compare.hidden = !after;
    if (!after) {
      this.compare.replaceChildren();
      return;
    }
    const sheet = (role, layer, caption) =>
      make(
        "figure",
        { "data-role": role },
        make(
          "div",
          { class: "pair", style: `--wide:${width};--high:${height}` },
          make("img", { class: "photo", src: photo, alt: "" }),
          make("img", { class: "labels", src: layer, alt: caption }),
        ),
        make("figcaption", {}, make("b", {}, caption)),
      );
    this.compare.replaceChildren(
      sheet("before", before, "labels with everything"),
      sheet("after", after, `labels ${without}`),
      sheet("changes", changes, "where they changed"),
    );
  }
}
