// One grid: its rows of cells, the ring around lit ones, the dashed frame.
//
// A *spec* is a grid as Python sent it (see scene.py), a *cell* its flat place in the drawn grid.

const ROLE_WORDS = { input: "input", kernel: "kernel", output: "output" };
const ROLE_CHIPS = { input: "x", kernel: "w", output: "y" };
const MARK_WORDS = { p: "padding", z: "inserted zero", u: "unused", e: "empty" };
const TINTS = 8;
const EDIT_HINT = "double click, or F2, to change a cell";

/** The elements of one grid; reused for every spec of the same name. */
class GridView {
  constructor(name) {
    this.name = name;
    this.rows = [];
    this.cells = [];
    this.current = 0; // where the keyboard enters
    this.short = null; // short forms by text, where long numbers do not fit
    this.shown = null; // texts by cell while a step is shown; null: all of the spec's
    this.aside = false; // whether the title stands beside the grid
    this.halo = draw("path", { class: "halo" });
    this.ring = draw("path", { class: "ring" });
    this.rings = draw("svg", { class: "rings", "aria-hidden": "true" }, this.halo, this.ring);
    this.title = make("div", { class: "title" });
    this.board = make("div", { class: "board", role: "grid" }, this.rings);
    this.element = make("div", { class: "item" }, this.title, this.board);
    this.frame = null;
  }

  update(spec) {
    const before = this.spec;
    const none = { marks: "", origin: [0, 0], bright: [], changed: [], title: "", letter: "" };
    this.spec = { texts: [], ...none, ...spec };
    const { columns, texts, origin, title, letter, role } = this.spec;
    this.height = texts.length / columns;
    this.who = [ROLE_WORDS[role], letter].filter(Boolean).join(" ") || title || this.name;
    const moved =
      before?.columns !== columns ||
      before.texts.length !== texts.length ||
      before.origin.join() !== origin.join();
    if (moved) this.shape();
    this.dress();
    this.writeTitle();
    setAll(this.element, { "data-role": role, "data-compact": this.spec.compact });
    setAll(this.board, {
      "aria-label": title || this.who,
      "aria-rowcount": this.height,
      "aria-colcount": columns,
      "data-name": this.name,
      "data-editable": this.spec.editable,
      "data-markable": this.spec.markable,
      title: this.spec.editable ? EDIT_HINT : null,
    });
    this.enter(clamp(this.current, 0, this.cells.length - 1));
    if (!this.frame?.dragging) this.setFrame(this.spec.frame ?? null);
  }

  /** As many rows and cells as the spec has; those that stay keep their elements. */
  shape() {
    const { columns, origin } = this.spec;
    while (this.rows.length > this.height) this.rows.pop().remove();
    while (this.rows.length < this.height) {
      const row = make("div", { class: "row", role: "row" });
      this.rows.push(row);
      this.board.insertBefore(row, this.rings);
    }
    this.cells = [];
    this.rows.forEach((row, r) => {
      while (row.childElementCount > columns) row.lastChild.remove();
      while (row.childElementCount < columns) row.append(newCell(this.name));
      [...row.children].forEach((cell, c) => {
        cell.spot = { name: this.name, cell: this.cells.length };
        cell.dataset.row = r - origin[0];
        cell.dataset.col = c - origin[1];
        cell.look = null;
        mark(cell, "data-active", null); // rings are drawn anew
        this.cells.push(cell);
      });
    });
  }

  /** Text, marks and fills of the cells; only those that look another way than before. */
  dress() {
    const { texts, marks, values, ramp, tints, role, compact } = this.spec;
    const most = values?.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) ?? 0;
    const shared = [this.who, role, compact, ramp, most].join("|");
    const [bright, changed] = [new Set(this.spec.bright), new Set(this.spec.changed)];
    this.cells.forEach((cell, i) => {
      const own = [marks[i], tints?.[i], values?.[i], bright.has(i), changed.has(i), texts[i]];
      const look = `${shared}|${own.join("|")}`;
      if (cell.look === look) return;
      cell.look = look;
      setAll(cell, {
        "data-mark": marks[i] && marks[i] !== "." ? marks[i] : null,
        "data-tint": tints?.[i] >= 0 ? tints[i] % TINTS : null,
        "data-bright": bright.has(i) ? "" : null,
        "data-changed": changed.has(i) ? "" : null,
        "data-zero": this.standsBack(texts[i]) ? "" : null,
        "data-ramp": ramp && values ? "" : null,
      });
      const [fill, ink] = ramp && values ? rampColours(values[i], ramp, most) : ["", ""];
      if (fill || cell.style.length) {
        cell.style.setProperty("--fill", fill);
        cell.style.setProperty("--ink", ink);
      }
      this.showText(i);
    });
  }

  /** Zeros of matrices, and places without a link, step back so that the structure shows. */
  standsBack(text) {
    const { role, ramp, compact, tints } = this.spec;
    if (ramp || tints) return false;
    return text === "" ? role !== "input" : text === "0" && (role === "plain" || Boolean(compact));
  }

  /** Show the texts of a step (by cell, others blank), or with null those of the spec. */
  showStep(texts) {
    if (this.shown === texts) return;
    this.shown = texts;
    for (let i = 0; i < this.cells.length; i++) this.showText(i);
  }

  /** Write long numbers in these short forms, or with null in full. */
  shorten(forms) {
    if (this.short === forms) return;
    this.short = forms;
    for (let i = 0; i < this.cells.length; i++) this.showText(i);
  }

  /** What stands in a cell now, in full. */
  textOf(i) {
    return this.shown ? (this.shown.get(i) ?? "") : this.spec.texts[i];
  }

  drawn(text) {
    return this.short?.[text] ?? text;
  }

  showText(i) {
    const cell = this.cells[i];
    const text = this.textOf(i);
    const blank = this.shown && !this.shown.has(i);
    write(cell.firstChild, this.drawn(text));
    setAll(cell, {
      "data-blank": blank ? "" : null,
      // A sum on its way to the number that the ramp stands for.
      "data-partial": !blank && text !== this.spec.texts[i] ? "" : null,
      "aria-label": this.label(i, text),
    });
  }

  /** Flashes the cells that a step wrote. */
  stamp(cells, duration) {
    for (const i of cells) {
      this.cells[i]?.firstChild.animate(
        [
          { transform: "scale(1.7)", opacity: 0.2 },
          { transform: "none", opacity: 1 },
        ],
        { duration, easing: "ease-out" },
      );
    }
  }

  label(i, text = this.spec.texts[i]) {
    const { row, col } = this.cells[i].dataset;
    const place = `row ${Number(row) + 1}, column ${Number(col) + 1}`;
    const changed = this.cells[i].hasAttribute("data-changed") && "changed";
    const more = [MARK_WORDS[this.spec.marks[i]], changed].filter(Boolean);
    return [`${this.who}, ${place}: ${text || "blank"}`, ...more].join(", ");
  }

  /** The role's letter stands in the title as a chip: the legend of the colours. */
  writeTitle() {
    const { title, letter, role } = this.spec;
    const text = `${role}|${letter}|${title}`;
    if (this.titleText === text) return;
    this.titleText = text;
    this.title.hidden = !title;
    const chip = () => chipOf(ROLE_CHIPS[role] ?? "n", letter);
    // The letter as a word of its own.
    const at = title.search(new RegExp(`(?<![\\p{L}\\d])${escaped(letter)}(?![\\p{L}\\d])`, "u"));
    let parts = [title];
    if (letter && at < 0) parts = [chip(), ` ${title}`];
    else if (letter) {
      const rest = title.slice(at + letter.length);
      const [close] = rest.match(/^\S*/); // a comma behind the letter stays with it
      const word = make("span", { class: "word" }, chip(), close);
      parts = [title.slice(0, at), word, rest.slice(close.length)];
    }
    this.title.replaceChildren(make("span", {}, ...parts));
  }

  /** Make a cell the one at which the Tab key enters the grid. */
  enter(i) {
    const before = this.board.querySelector('.cell[tabindex="0"]');
    if (before && before !== this.cells[i]) before.tabIndex = -1;
    if (this.cells[i]) this.cells[i].tabIndex = 0;
    this.current = i;
  }

  /** The cell with these numbers of data-row and data-col, or -1. */
  find(row, col) {
    const { origin, columns } = this.spec;
    const [r, c] = [row + origin[0], col + origin[1]];
    return r >= 0 && r < this.height && c >= 0 && c < columns ? r * columns + c : -1;
  }

  /** Where an arrow key leads from a cell, or undefined for other keys. */
  neighbour(i, key) {
    const { columns } = this.spec;
    const col = i % columns;
    return {
      ArrowLeft: col > 0 ? i - 1 : i,
      ArrowRight: col < columns - 1 ? i + 1 : i,
      ArrowUp: i >= columns ? i - columns : i,
      ArrowDown: i + columns < this.cells.length ? i + columns : i,
      Home: i - col,
      End: i - col + columns - 1,
    }[key];
  }

  showGuesses(guesses) {
    this.cells.forEach((cell, i) => {
      const on = Boolean(guesses?.has(i));
      mark(cell, "data-marked", on ? "" : null);
      mark(cell, "aria-selected", this.spec.markable ? String(on) : null);
    });
  }

  // Sizes, as `Fit` found them

  resize({ width, height, gap }, { digits, long, fits }, smallestReadable) {
    this.size = { width, height, gap };
    const lengths = { width, height, gap, digits, long };
    for (const [name, length] of Object.entries(lengths)) {
      this.board.style.setProperty(`--${name}`, `${length}px`);
    }
    mark(this.board, "data-digits", digits > 0 ? "" : null);
    mark(this.board, "data-small", width < 20 ? "" : null);
    this.readable = (text) =>
      this.drawn(text) === text && (fits(text) ? digits : long) >= smallestReadable;
    setAll(this.rings, {
      width: run(this.spec.columns, width, gap),
      height: run(this.height, height, gap),
    });
    this.cells.forEach((cell, i) => {
      mark(cell, "data-long", digits > 0 && !fits(this.drawn(this.spec.texts[i])) ? "" : null);
    });
    const [left, right, above, below] = this.overhang();
    const room = [above, right, below, left];
    const steps = [height + gap, width + gap, height + gap, width + gap];
    this.board.style.margin = room.map((cells, side) => `${cells * steps[side]}px`).join(" ");
    this.placeFrame();
  }

  /** Left, top, right and bottom of a cell in the board. */
  box(i) {
    const { width, height, gap } = this.size;
    const left = (i % this.spec.columns) * (width + gap);
    const top = Math.floor(i / this.spec.columns) * (height + gap);
    return [left, top, left + width, top + height];
  }

  /** One ring around all lit cells that touch: the outline of the window that a cell reads. */
  drawRing(lit) {
    const { columns } = this.spec;
    const half = this.size.gap / 2;
    let path = "";
    for (const i of lit ?? []) {
      if (i >= this.cells.length) continue;
      const box = this.box(i);
      const [l, t, r, b] = [box[0] - half, box[1] - half, box[2] + half, box[3] + half];
      if (!lit.has(i - columns)) path += `M${l} ${t}H${r}`;
      if (!lit.has(i + columns)) path += `M${l} ${b}H${r}`;
      if (i % columns === 0 || !lit.has(i - 1)) path += `M${l} ${t}V${b}`;
      if (i % columns === columns - 1 || !lit.has(i + 1)) path += `M${r} ${t}V${b}`;
    }
    mark(this.ring, "d", path || null);
    mark(this.halo, "d", path || null);
  }

  // The dashed frame: row, column, rows and columns in drawn cells

  setFrame(at) {
    if (!at) {
      this.frame?.element.remove();
      this.frame = null;
    } else {
      this.frame ??= newFrame();
      if (!this.frame.element.isConnected) this.board.append(this.frame.element);
      this.frame.at = [...at];
      for (const handle of Object.values(this.frame.handles)) {
        handle.hidden = !this.spec.frame_drags;
      }
    }
    this.markOutside();
    this.placeFrame();
  }

  markOutside() {
    const [row, col, rows, columns] = this.frame?.at ?? [0, 0, Infinity, Infinity];
    this.cells.forEach((cell, i) => {
      const r = Math.floor(i / this.spec.columns);
      const c = i % this.spec.columns;
      const inside = r >= row && r < row + rows && c >= col && c < col + columns;
      mark(cell, "data-outside", inside ? null : "");
    });
  }

  placeFrame() {
    if (!this.frame || !this.size) return;
    const [row, col, rows, columns] = this.frame.at;
    const { width, height, gap } = this.size;
    Object.assign(this.frame.element.style, {
      left: `${col * (width + gap) - gap / 2}px`,
      top: `${row * (height + gap) - gap / 2}px`,
      width: `${columns * (width + gap)}px`,
      height: `${rows * (height + gap)}px`,
    });
    const { left, right } = this.cropped();
    const handles = this.frame.handles;
    for (const [handle, cells] of [[handles.left, left], [handles.right, right]]) {
      setAll(handle, {
        "aria-valuenow": cells,
        "aria-valuemin": -1,
        "aria-valuemax": this.spec.columns - 1,
        "aria-valuetext": cells < 0 ? `${-cells} beyond the grid` : `${cells} cropped`,
      });
    }
  }

  /** Cells between the grid's edges and the frame's; negative beyond the grid. */
  cropped() {
    const [, col, , columns] = this.frame.at;
    return { left: col, right: this.spec.columns - col - columns };
  }

  /** The column where an edge of the frame stands. */
  edge(side) {
    const [, col, , columns] = this.frame.at;
    return side === "left" ? col : col + columns;
  }

  /** Put an edge of the frame on a column; as far as there is room, and a cell from the other. */
  moveEdge(side, column) {
    const [row, , rows] = this.frame.at;
    const [left, right] = this.overhang();
    let [start, end] = [this.edge("left"), this.edge("right")];
    if (side === "left") start = clamp(column, -left, end - 1);
    else end = clamp(column, start + 1, this.spec.columns + right);
    this.frame.at = [row, start, rows, end - start];
    this.markOutside();
    this.placeFrame();
  }

  /** How many cells the frame may reach beyond the grid: left, right, above, below. */
  overhang() {
    if (!this.spec.frame) return [0, 0, 0, 0];
    const [row, col, rows, columns] = this.spec.frame;
    const least = this.spec.frame_drags ? 1 : 0;
    return [
      Math.max(least, -col),
      Math.max(least, col + columns - this.spec.columns),
      Math.max(0, -row),
      Math.max(0, row + rows - this.height),
    ];
  }
}

function newCell(name) {
  const cell = make("div", { class: "cell", role: "gridcell", tabindex: "-1", "data-grid": name });
  cell.append(make("span"));
  return cell;
}

function newFrame() {
  const handle = (side) =>
    make("div", {
      class: `handle ${side}`,
      role: "slider",
      tabindex: "0",
      "data-side": side,
      "aria-label": `${side} edge of the frame`,
      title: `drag the ${side} edge, or ← →`,
    });
  const handles = { left: handle("left"), right: handle("right") };
  const element = make("div", { class: "frame" }, handles.left, handles.right);
  return { element, handles, at: null, dragging: false };
}
