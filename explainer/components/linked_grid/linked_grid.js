// The linked grid: draws grids of cells and lights what belongs together.
//
// Python computed every number, text and link; nothing here adds or multiplies them. Hovering, playing
// and scrubbing look things up and send nothing. A *spot* is {name, cell}: a cell of a named grid.
// The other files of this folder are part of the same script (see __init__.py).

// At 1280×720 (VISUAL.md): above the picture stand title and controls, below it the formula.
const FRAME = { width: 1280, height: 720, above: 150, formula: 54 };
const HIGH_ON_THE_PAGE = 240; // a picture that begins further below is not that of the lesson
// Grids stand one below the other in a picture that is less wide, and in one that is less roomy
// where side by side their digits would have fewer pixels than these.
const NARROW = 440;
const ROOMY = 640;
const DIGITS_SIDE_BY_SIDE = 15;
const ROW_GAP = { plain: 14, lines: 40 };
const FOOT = 64; // the term strip and the space above it
const LINES_AT_REST = 400;
const FRAME_ANSWER_MS = 700;
const TRANSPOSE_MS = 600;

function drawIn(component) {
  const root = component.parentElement.querySelector('[data-role="linked-grid"]');
  // The function runs again on every change of the data, in the same DOM: build once.
  const picture = (root.picture ??= new Picture(root));
  picture.send = component.setTriggerValue;
  picture.answers.take(component.data);
  return ending(root, () => picture.leave());
}

class Picture {
  constructor(root) {
    this.root = root;
    this.version = 0;
    this.views = new Map(); // GridViews by name
    this.hover = null; // spots
    this.focus = null;
    this.pin = ""; // as in the address: "grid:row,col"
    this.pinBefore = ""; // before the last click
    this.guesses = new Map(); // sets of cells by grid
    this.answersOf = { pin: new Answered(), mark: new Answered() };
    this.lit = new Map(); // sets of cells by grid
    this.active = null;
    this.lowest = 0; // pixels
    this.settled = false; // whether all cells have their places and links
    this.ruler = new Ruler();
    this.listeners = new AbortController();
    this.answers = new Answers((data) => this.update(data), this.listeners.signal);
    this.build();
    this.listen();
    this.readTheme();
  }

  build() {
    this.tabs = make("div", { class: "tabs", role: "tablist", "aria-label": "views" });
    this.player = new Player(
      (animate) => this.showStep(animate),
      () => this.hush(),
    );
    this.bar = make("div", { class: "bar" }, this.tabs, this.player.element);
    this.restLines = draw("path", { class: "rest-lines" });
    this.litLines = draw("path", { class: "lit-lines" });
    const lines = draw("svg", { class: "lines", "aria-hidden": "true" });
    lines.append(this.restLines, this.litLines);
    this.scene = make("div", { class: "scene" });
    this.lens = make("div", { class: "lens", "aria-hidden": "true", hidden: true });
    this.keys = make("div", { class: "keys", role: "note", "aria-label": "keys", hidden: true });
    this.stage = make("div", { class: "stage" }, lines, this.scene, this.lens, this.keys);
    this.strip = make("div", { class: "strip", role: "status", "aria-live": "polite" });
    const help = { class: "help", type: "button", "aria-label": "keys", "aria-expanded": "false" };
    this.help = make("button", help, "?");
    const foot = make("div", { class: "foot" }, this.strip, this.help);
    this.root.replaceChildren(this.bar, this.stage, foot);
    this.root.tabIndex = -1;
  }

  leave() {
    this.listeners.abort();
    this.resized.disconnect();
    this.seen.disconnect();
    this.player.pause();
    this.root.replaceChildren();
    delete this.root.picture;
  }

  // ------------------------------------------------------------------ data

  update(data) {
    const text = JSON.stringify(data);
    if (text === this.text) return;
    this.text = text;
    this.data = data;
    this.takePin(data.pin ?? "");
    this.takeGuesses(data.marks ?? "");
    this.updateTabs();
    const at = this.root.getRootNode().activeElement;
    const focused = at?.matches(".cell") ? { ...at.dataset } : {}; // not an editor in a cell
    // Moved elements lose the focus on the way, while new cells have no size and no links yet.
    this.settled = false;
    this.updateScene();
    const roles = new Map([...this.views].map(([name, view]) => [name, view.spec.role]));
    this.links = new Links(data.links, roles);
    if (this.hover && !this.has(this.hover)) this.hover = null;
    if (this.focus && !this.has(this.focus)) this.focus = null;
    this.player.update(data.steps);
    this.bar.hidden = this.tabs.hidden && !this.player.length;
    this.writeKeys();
    this.writeStep();
    this.settled = true;
    this.layout();
    if (focused.grid) this.refocus(focused.grid, Number(focused.row), Number(focused.col));
    if (this.width && !reducedMotion()) this.appeared.forEach((view) => this.comeOver(view));
    this.root.dataset.version = String(++this.version);
    this.root.dataset.ready = "true";
  }

  /** Elements stand for other cells after a change of shape: the focus stays with its row and column. */
  refocus(name, row, col) {
    const view = this.views.get(name);
    const cell = view ? view.find(row, col) : -1;
    if (cell >= 0) view.cells[cell].focus();
  }

  has({ name, cell }) {
    return cell >= 0 && cell < (this.views.get(name)?.cells.length ?? 0);
  }

  takePin(pin) {
    if (this.answersOf.pin.isNews(pin, this.pin)) this.pin = pin;
  }

  takeGuesses(marks) {
    if (!this.answersOf.mark.isNews(marks, this.guessText())) return;
    this.guesses.clear();
    for (const part of marks.split(";").filter(Boolean)) {
      const at = part.lastIndexOf(":");
      const cells = part.slice(at + 1).split(",").filter(Boolean).map(Number);
      this.guesses.set(part.slice(0, at), new Set(cells));
    }
  }

  updateTabs() {
    const { views, view } = this.data;
    this.tabs.hidden = views.length < 2;
    if (this.tabNames !== views.join("|")) {
      this.tabNames = views.join("|");
      const tabs = views.map((name, i) => {
        const key = make("kbd", { "aria-hidden": "true" }, String(i + 1));
        return make("button", { type: "button", role: "tab", "data-view": i }, key, name);
      });
      this.tabs.replaceChildren(...tabs);
    }
    this.showTab(view);
  }

  showTab(view) {
    this.view = view;
    [...this.tabs.children].forEach((tab, i) => {
      mark(tab, "aria-selected", String(i === view));
      tab.tabIndex = i === view ? 0 : -1;
    });
  }

  /** Rows of grids and signs; the elements of grids that stay are moved, not made anew. */
  updateScene() {
    const specs = this.data.rows.flat().filter((item) => typeof item !== "string");
    const names = new Set(specs.map((spec) => spec.name));
    for (const [name, view] of this.views) {
      if (names.has(name)) continue;
      view.element.remove();
      this.views.delete(name);
    }
    this.appeared = [];
    for (const spec of specs) {
      if (!this.views.has(spec.name)) {
        this.views.set(spec.name, new GridView(spec.name));
        this.appeared.push(this.views.get(spec.name));
      }
      const view = this.views.get(spec.name);
      view.update(spec);
      view.showGuesses(this.guesses.get(spec.name));
    }
    this.items = this.data.rows.map((row) =>
      row.map((item) => (typeof item === "string" ? item : this.views.get(item.name))),
    );
    const order = JSON.stringify(this.items.map((row) => row.map((item) => [item.name ?? item])));
    if (order !== this.order) this.arrange();
    this.order = order;
  }

  arrange() {
    this.lowest = 0;
    // Moving the focused cell would lose the focus.
    const focused = this.root.getRootNode().activeElement;
    this.scene.replaceChildren(
      ...this.items.map((row) => {
        const elements = row.map((item) => item.element ?? make("div", { class: "sign" }, item));
        return make("div", { class: "line" }, ...elements);
      }),
    );
    if (focused && this.scene.contains(focused) && !focused.matches(".cell")) focused.focus();
  }

  // ------------------------------------------------------------------ layout

  layout() {
    this.width ||= this.root.clientWidth;
    const { width } = this;
    if (!width) return;
    const [across, down] = [window.innerWidth / FRAME.width, window.innerHeight / FRAME.height];
    const scale = clamp(Math.min(across, down), 1, 3);
    this.scale = scale;
    this.root.style.setProperty("--scale", scale);
    this.ruler.use(this.font);
    // Reading them at every slider step would cost a reflow.
    this.barHeight ??= this.bar.offsetHeight;
    this.top ??= this.topOnPage();
    let arranged = this.solve(width < NARROW);
    if (width >= NARROW && width < ROOMY && !arranged.fit.isReadable(arranged.sizes, DIGITS_SIDE_BY_SIDE)) {
      arranged = this.solve(true);
    }
    const { narrow, fit, sizes, lines, between } = arranged;
    mark(this.root, "data-narrow", narrow ? "" : null);
    this.scene.style.setProperty("--between", `${between}px`);
    this.scene.style.setProperty("--title-lines", lines);
    for (const view of this.views.values()) {
      const size = sizes[kindOf(view.spec)];
      const type = this.typeOf(view, size);
      view.resize(size, type, kindOf(view.spec) === "matrix" ? 15 : 18);
      const across = Math.max(run(view.spec.columns, size.width, size.gap), fit.titleWidth(view, lines));
      view.title.style.maxWidth = `${Math.ceil(across)}px`;
    }
    const longest = this.player.length ? this.player.textOf(this.player.length) : "";
    this.player.count.style.minWidth = `${this.ruler.width(longest)}em`;
    // The picture does not jump up and down while a slider moves: it only grows.
    this.lowest = Math.max(this.lowest, fit.needs(sizes, lines).down + 8 * scale);
    this.scene.style.minHeight = `${this.lowest}px`;
    this.redraw();
  }

  /** Grids one below the other or in their rows, and the sizes that fit. */
  solve(narrow) {
    const { scale, width } = this;
    const rows = narrow ? this.items.flat().map((item) => [item]) : this.items;
    this.putTitlesAside(narrow);
    const bar = this.bar.hidden ? 0 : this.barHeight + 8 * scale;
    const above = this.top < HIGH_ON_THE_PAGE * scale ? this.top : FRAME.above * scale;
    const around = FOOT + FRAME.formula + 8;
    const height = narrow ? Infinity : window.innerHeight - above - bar - around * scale;
    const room = { width: width - 8, height };
    const lined = this.data.links.some((group) => group.lines);
    // Lines between many rows leave half of the height to the cells.
    const most = lined ? Math.min(ROW_GAP.lines, height / scale / 2 / (rows.length - 1)) : 0;
    const between = Math.max(ROW_GAP.plain, most) * scale;
    const fit = new Fit({ rows, room, scale, between, aligned: lined, ruler: this.ruler });
    return { narrow, fit, between, ...fit.solve() };
  }

  /** Type sizes in a grid, with its long numbers in short where there is no room for them. */
  typeOf(view, size) {
    const { spec } = view;
    const { short } = this.data;
    const sizes = (texts) => typeSizes({ ...spec, texts }, size, this.scale, this.ruler);
    let type = sizes(spec.texts);
    const inShort = !type.digits && spec.texts.some((text) => text in short);
    if (inShort) type = sizes(spec.texts.map((text) => short[text] ?? text));
    view.shorten(inShort && type.digits ? short : null);
    return type;
  }

  /** Pixels of the page above the picture, however far it is scrolled. */
  topOnPage() {
    const page = this.root.getRootNode().host ?? this.root;
    const scrolled = page.closest('[data-testid="stMain"]')?.scrollTop ?? window.scrollY;
    return this.root.getBoundingClientRect().top + scrolled;
  }

  /** The title of one row of cells stands beside it, out of the way of lines, where there is room. */
  putTitlesAside(narrow) {
    for (const view of this.views.values()) view.aside = false;
    for (const [view, ...others] of this.items) {
      if (narrow || others.length || !(view instanceof GridView) || view.height > 1) continue;
      const title = (this.ruler.width(view.spec.title) + 1) * TITLE * this.scale;
      view.aside = view.spec.columns * MATRIX_CELL_BESIDE_GRIDS * this.scale + 2 * title <= this.width;
    }
    for (const view of this.views.values()) {
      mark(view.element, "data-aside", view.aside ? "" : null);
    }
  }

  /** The entries of a transpose come over from the grid that it transposes. */
  comeOver(view) {
    const source = this.views.get(view.spec.transposes);
    if (!source) return;
    const [fromX, fromY] = this.corner(source.name);
    const [x, y] = this.corner(view.name);
    view.cells.forEach((cell, i) => {
      if (!view.spec.texts[i]) return;
      const [row, col] = [Math.floor(i / view.spec.columns), i % view.spec.columns];
      const [left, top] = view.box(i);
      const [fromLeft, fromTop] = source.box(col * source.spec.columns + row);
      const from = `translate(${fromX + fromLeft - x - left}px, ${fromY + fromTop - y - top}px)`;
      const motion = { duration: TRANSPOSE_MS, easing: "ease-in-out" };
      cell.animate([{ transform: from, zIndex: 3 }, { transform: "none", zIndex: 3 }], motion);
    });
  }

  /** Everything that depends on where cells are. */
  redraw() {
    this.corners = new Map();
    const pairs = this.links.lines(null);
    const few = pairs.length > 0 && pairs.length < LINES_AT_REST;
    mark(this.restLines, "d", few ? this.path(pairs) : null);
    this.refresh(true);
  }

  /** The upper left corner of a board in the stage. */
  corner(name) {
    if (!this.corners.has(name)) {
      const stage = this.stage.getBoundingClientRect();
      const board = this.views.get(name).board.getBoundingClientRect();
      this.corners.set(name, [board.left - stage.left, board.top - stage.top]);
    }
    return this.corners.get(name);
  }

  /** Lines between spots, from edge to edge where one cell is above the other. */
  path(pairs) {
    const boxOf = ({ name, cell }) => {
      const [x, y] = this.corner(name);
      const [left, top, right, bottom] = this.views.get(name).box(cell);
      return { x: x + (left + right) / 2, top: y + top, bottom: y + bottom };
    };
    return pairs
      .map(([a, b]) => {
        const [from, to] = [boxOf(a), boxOf(b)];
        if (from.bottom <= to.top) return `M${from.x} ${from.bottom}L${to.x} ${to.top}`;
        if (to.bottom <= from.top) return `M${from.x} ${from.top}L${to.x} ${to.bottom}`;
        const middle = (box) => (box.top + box.bottom) / 2;
        return `M${from.x} ${middle(from)}L${to.x} ${middle(to)}`;
      })
      .join("");
  }

  readTheme() {
    const style = getComputedStyle(this.root);
    this.font = style.fontFamily;
    const paper = style.getPropertyValue("--st-background-color").trim() || "#fff";
    this.root.dataset.theme = isDark(rgbOf(paper)) ? "dark" : "light";
  }

  // ------------------------------------------------------------------ what is active

  /** The spot that counts: hover, focus, step, pin, in this order. */
  current() {
    const { hover, focus } = this;
    const sources = { hover, focus, step: this.player.spot, pin: this.pinned() };
    for (const [source, spot] of Object.entries(sources)) {
      if (spot && this.has(spot)) return { source, ...spot };
    }
    return null;
  }

  /** The pinned spot, or null where this scene has no such cell. */
  pinned() {
    const found = /^(.*):(-?\d+),(-?\d+)$/.exec(this.pin);
    const view = found && this.views.get(found[1]);
    const row = found && !this.data.flat ? Number(found[2]) : 0;
    const cell = view ? view.find(row, Number(found[3])) : -1;
    return cell < 0 ? null : { name: found[1], cell };
  }

  pinTextOf({ name, cell }) {
    const { row, col } = this.views.get(name).cells[cell].dataset;
    return `${name}:${row},${col}`;
  }

  /** Bring rings, lines and words up to date with what is active; `all`: after a change of cells. */
  refresh(all = false) {
    if (!this.settled) return;
    const active = this.current();
    const pinned = this.pinned();
    // Steps may light other cells for the same spot.
    const same = !all && sameSpot(active, this.active) && active?.step === this.active?.step;
    this.active = active;
    mark(this.root, "data-source", active?.source ?? null);
    mark(this.root, "data-pin", pinned ? this.pin : "");
    this.strip.toggleAttribute("data-pinned", Boolean(active) && sameSpot(active, pinned));
    this.showPin(pinned);
    if (same) return;
    this.lightUp(this.litBy(active));
    this.writeStrip();
  }

  /** The lit cells by grid: what a step lights, or what is linked to the active cell. */
  litBy(active) {
    if (!active) return new Map();
    return (active.source === "step" && this.player.lights) || this.links.light(active);
  }

  lightUp(lit) {
    for (const [name, view] of this.views) {
      const cells = lit.get(name);
      for (const i of this.lit.get(name) ?? []) {
        if (!cells?.has(i) && view.cells[i]) mark(view.cells[i], "data-active", null);
      }
      for (const i of cells ?? []) {
        const self = sameSpot(this.active, { name, cell: i });
        if (view.cells[i]) mark(view.cells[i], "data-active", self ? "self" : "linked");
      }
      view.drawRing(cells);
    }
    this.lit = lit;
    mark(this.root, "data-lit", lit.size ? "" : null);
    const pairs = lit.size ? this.links.lines(lit) : [];
    mark(this.litLines, "d", pairs.length ? this.path(pairs) : null);
  }

  showPin(pinned) {
    const cell = pinned && this.views.get(pinned.name).cells[pinned.cell];
    if (cell === this.pinCell) return;
    if (this.pinCell) mark(this.pinCell, "data-pinned", null);
    if (cell) mark(cell, "data-pinned", "");
    this.pinCell = cell;
  }

  writeStrip() {
    const { active, data } = this;
    const view = active && this.views.get(active.name);
    const shown = view ? view.label(active.cell, view.textOf(active.cell)) : data.rest;
    const term = active && data.terms[active.name]?.[active.cell];
    const text = (active?.source === "step" && this.player.says) || term || shown;
    const size = this.stripSize(text);
    mark(this.strip, "data-size", size);
    if (text === this.stripText) return;
    this.stripText = text;
    this.strip.replaceChildren(...withChips(text));
  }

  /** Large type in one line, smaller in one, then in two: by the number of characters. */
  stripSize(text) {
    const chips = [...text.matchAll(CHIP)].length;
    const characters = text.length - 4 * chips;
    const room = (this.width ?? FRAME.width) / (this.scale ?? 1) - 90;
    const wide = (size) => characters * 0.602 * size + chips * (0.44 * size + 3);
    if (wide(26) <= room) return "26";
    if (wide(22) <= room) return "22";
    // Lines break at spaces: some of each is lost.
    return wide(22) <= 1.85 * room ? "22x2" : "18x2";
  }

  /** A cell whose digits are small or missing, enlarged beside the pointer. */
  showLens(event, cell) {
    const view = cell && this.views.get(cell.spot.name);
    const text = view ? view.textOf(cell.spot.cell) : "";
    this.lens.hidden = !text || view.readable(text);
    if (this.lens.hidden) return;
    write(this.lens, text);
    const stage = this.stage.getBoundingClientRect();
    const [x, y] = [event.clientX - stage.left, event.clientY - stage.top];
    const space = x < stage.width - 140 * this.scale;
    const across = space ? `${x + 18}px` : `calc(${x - 18}px - 100%)`;
    this.lens.style.transform = `translate(${across}, calc(${y - 12}px - 100%))`;
  }

  // ------------------------------------------------------------------ steps

  showStep(animate) {
    this.writeStep();
    for (const [name, view] of animate ? this.views : []) {
      view.stamp(this.player.writtenIn(name), STAMP_MS);
    }
    this.refresh();
  }

  writeStep() {
    const { step } = this.player;
    for (const [name, view] of this.views) view.showStep(this.player.textsOf(name));
    mark(this.root, "data-step", step === null ? null : step + 1);
  }

  /** A step every 700 ms is too fast to be read aloud. */
  hush() {
    mark(this.strip, "aria-live", this.player.playing ? "off" : "polite");
  }

  // ------------------------------------------------------------------ what Python hears of

  /** What a click or Enter does to a cell: a prediction where they are made, a pin elsewhere. */
  choose(spot) {
    if (this.views.get(spot.name).spec.markable) this.toggleGuess(spot);
    else this.setPin(this.pinTextOf(spot) === this.pin ? "" : this.pinTextOf(spot));
  }

  setPin(pin) {
    if (pin === this.pin) return;
    this.pin = pin;
    this.refresh();
    this.tell("pin", pin);
  }

  toggleGuess({ name, cell }) {
    const cells = this.guesses.get(name) ?? new Set();
    if (!cells.delete(cell)) cells.add(cell);
    this.guesses.set(name, cells);
    this.views.get(name).showGuesses(cells);
    this.tell("mark", this.guessText());
  }

  /** The predictions as Python has them. */
  guessText() {
    const grids = [...this.guesses].filter(([, some]) => some.size);
    const text = ([grid, some]) => `${grid}:${[...some].sort((a, b) => a - b).join()}`;
    return grids.map(text).join(";");
  }

  /** Send what Python will answer with the same text. */
  tell(event, text) {
    this.answersOf[event].sent.add(text);
    this.send(event, text);
  }

  chooseView(view) {
    if (!(view in this.data.views) || view === this.view) return;
    this.showTab(view);
    this.send("view", view);
  }

  /** Whether a number can be typed in a cell: padding and inserted zeros have none of their own. */
  isEditable({ name, cell }) {
    const { editable, marks } = this.views.get(name).spec;
    return Boolean(editable) && !["p", "z"].includes(marks[cell]);
  }

  /** Type a number in a cell: Enter or leaving it sends, Escape does not. */
  edit({ name, cell }) {
    const view = this.views.get(name);
    if (!this.isEditable({ name, cell }) || this.editor) return;
    const element = view.cells[cell];
    const before = view.spec.texts[cell].replace("−", "-");
    const label = `new value of ${view.label(cell)}`;
    const input = make("input", { class: "editor", inputmode: "decimal", maxlength: 12 });
    mark(input, "aria-label", label);
    input.value = before;
    this.editor = input;
    element.append(input);
    input.focus();
    input.select();
    const close = (send) => {
      if (this.editor !== input) return;
      this.editor = null;
      const here = element.isConnected;
      const text = input.value.trim();
      input.remove();
      if (!here || !send || !text || text === before) return;
      const { row, col } = element.dataset;
      this.send("edit", { grid: name, row: Number(row), col: Number(col), text });
    };
    input.addEventListener("blur", () => close(true));
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      close(event.key === "Enter");
      element.focus();
    });
  }

  // ------------------------------------------------------------------ the frame's edges

  viewOf(element) {
    return this.views.get(element.closest(".board").dataset.name);
  }

  drag(event, handle) {
    const view = this.viewOf(handle);
    const { side } = handle.dataset;
    const start = view.edge(side);
    const pitch = view.size.width + view.size.gap;
    const move = ({ clientX }) =>
      view.moveEdge(side, start + Math.round((clientX - event.clientX) / pitch));
    const end = () => {
      view.frame.dragging = false;
      handle.removeEventListener("pointermove", move);
      this.sendFrame(view);
    };
    view.frame.dragging = true;
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", end, { once: true });
    handle.focus();
    event.preventDefault();
  }

  sendFrame(view) {
    const { spec } = view;
    if (view.frame.at.join() === spec.frame.join()) return;
    this.send("frame", { grid: view.name, ...view.cropped() });
    // An answer that changes nothing (a refused crop) brings no new data: go back then.
    setTimeout(() => {
      if (view.spec === spec && !view.frame.dragging) view.setFrame(spec.frame);
    }, FRAME_ANSWER_MS);
  }

  // ------------------------------------------------------------------ help

  writeKeys() {
    const { views } = this.data;
    const any = (name) => [...this.views.values()].some((view) => view.spec[name]);
    const rows = [
      ["point, Tab, arrows", "a cell, and what belongs to it"],
      this.player.length && ["← →", "one step back, forward"],
      this.player.length && ["space", "play, pause"],
      ["click, Enter", "pin the cell"],
      ["Esc", "let it go"],
      views.length > 1 && [`1 – ${views.length}`, "another view"],
      any("editable") && ["double click, F2", "change a number; Enter takes it, Esc does not"],
      any("markable") && ["click, space", "mark your prediction"],
      any("frame_drags") && ["drag, ← →", "move an edge of the frame"],
      ["?", "this list"],
    ];
    const pairs = rows.filter(Boolean);
    const elements = pairs.map(([key, what]) => [make("kbd", {}, key), make("span", {}, what)]);
    this.keys.replaceChildren(...elements.flat());
  }

  toggleKeys(open = this.keys.hidden) {
    this.keys.hidden = !open;
    mark(this.help, "aria-expanded", String(open));
  }

  // ------------------------------------------------------------------ events

  listen() {
    const { signal } = this.listeners;
    const on = (target, name, action) => target.addEventListener(name, action, { signal });
    on(this.stage, "pointerover", (event) => this.onOver(event));
    on(this.stage, "pointermove", (event) => this.onMove(event));
    on(this.stage, "pointerleave", () => this.point(null));
    on(this.root, "pointerdown", (event) => this.onDown(event));
    on(window, "pointerup", () => (this.pressed = false));
    on(window, "pointercancel", () => (this.pressed = false));
    on(this.stage, "click", (event) => this.onClick(event));
    on(this.stage, "dblclick", (event) => {
      const cell = event.target.closest(".cell");
      if (!cell || !this.isEditable(cell.spot)) return;
      this.setPin(this.pinBefore); // the first click of the two has changed it
      this.edit(cell.spot);
    });
    on(this.root, "focusin", (event) => this.onFocus(event));
    on(this.root, "focusout", () => this.focusOn(null));
    on(document, "keydown", (event) => this.onKey(event));
    on(this.tabs, "click", (event) => {
      const tab = event.target.closest("[data-view]");
      if (tab) this.chooseView(Number(tab.dataset.view));
    });
    on(this.help, "click", () => this.toggleKeys());
    // The background is Streamlit's: when the theme changes, it changes in a transition.
    on(this.root, "transitionrun", (event) => event.target === this.root && this.readTheme());
    on(document, "visibilitychange", () => document.hidden && this.player.pause());
    on(window, "resize", () => this.onResize());
    on(document.fonts, "loadingdone", () => {
      this.ruler.widths.clear();
      if (this.data) this.layout();
    });
    this.resized = new ResizeObserver(() => this.onResize());
    this.resized.observe(this.root);
    this.resized.observe(this.bar);
    // What stands above the picture comes late, and grows and shrinks.
    const page = (this.root.getRootNode().host ?? this.root).closest(".stMainBlockContainer");
    if (page) this.resized.observe(page.firstElementChild ?? page);
    this.seen = new IntersectionObserver((entries) => {
      this.visible = entries.at(-1).isIntersecting;
      if (!this.visible) this.player.pause();
    });
    this.seen.observe(this.root);
  }

  onResize() {
    const top = Math.round(this.topOnPage());
    const room = [this.root.clientWidth, this.bar.offsetHeight, window.innerHeight, top].join();
    if (!this.data || room === this.room) return;
    this.room = room;
    this.top = top;
    this.width = this.root.clientWidth;
    this.barHeight = this.bar.offsetHeight || undefined;
    this.lowest = 0;
    this.layout();
  }

  onOver(event) {
    const cell = event.target.closest(".cell");
    // The gaps between cells belong to the cell before: no flicker on the way to the next.
    if (!cell && event.target.closest(".board") && this.hover) return;
    this.point(cell?.spot ?? null);
    this.showLens(event, cell);
  }

  onMove(event) {
    if (!this.lens.hidden) this.showLens(event, event.target.closest(".cell"));
  }

  point(spot) {
    if (!spot) this.lens.hidden = true;
    if (sameSpot(spot, this.hover)) return;
    this.hover = spot;
    this.refresh();
  }

  onDown(event) {
    this.pressed = true;
    const handle = event.target.closest(".handle");
    if (handle) this.drag(event, handle);
  }

  onClick(event) {
    const cell = event.target.closest(".cell");
    // The second click of a double click opens the cell, it does not free it.
    if (!cell || event.detail > 1 || event.target.closest(".editor")) return;
    this.pinBefore = this.pin;
    this.choose(cell.spot);
  }

  onFocus(event) {
    const cell = event.target.closest(".cell");
    if (cell) this.views.get(cell.spot.name).enter(cell.spot.cell);
    // A click focuses too, but then it is the pointer that points.
    this.focusOn(cell && !this.pressed ? cell.spot : null);
  }

  focusOn(spot) {
    if (sameSpot(spot, this.focus)) return;
    this.focus = spot;
    this.refresh();
  }

  onKey(event) {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    const path = event.composedPath();
    if (!this.data || event.defaultPrevented || modified || takesText(path[0])) return;
    const inside = path.includes(this.root);
    const free = this.visible && isForPage(event);
    const near = inside || (free && isNowhere(path[0]));
    const taken =
      (inside && this.keyOnElement(event, path[0])) ||
      (near && this.keyInPicture(event.key, path[0])) ||
      ((near || free) && this.keyOnPage(event.key, path[0], near)) ||
      this.keyAnywhere(event.key);
    if (taken) event.preventDefault();
  }

  /** Keys of the element that has the focus. */
  keyOnElement({ key }, target) {
    const change = { ArrowLeft: -1, ArrowRight: 1 }[key];
    const handle = target.closest(".handle");
    if (handle && change) {
      const view = this.viewOf(handle);
      view.moveEdge(handle.dataset.side, view.edge(handle.dataset.side) + change);
      this.sendFrame(view);
      return true;
    }
    if (target.closest(".tabs") && change) return this.stepTabs(change);
    const cell = target.closest(".cell");
    return Boolean(cell) && this.keyOnCell(key, cell.spot);
  }

  stepTabs(change) {
    const tabs = [...this.tabs.children];
    const at = tabs.findIndex((tab) => tab.getAttribute("aria-selected") === "true");
    const next = clamp(at + change, 0, tabs.length - 1);
    this.chooseView(next);
    tabs[next].focus();
    return true;
  }

  keyOnCell(key, spot) {
    const view = this.views.get(spot.name);
    const next = view.neighbour(spot.cell, key);
    if (next !== undefined) view.cells[next].focus();
    else if (key === "Enter" || (key === " " && view.spec.markable)) this.choose(spot);
    else if (key === "F2" && this.isEditable(spot)) this.edit(spot);
    else return false;
    return true;
  }

  /** Keys of the picture, while the focus is in it or nowhere. */
  keyInPicture(key, target) {
    const onButton = Boolean(target.closest("button, select"));
    const change = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (key === "Enter" && this.hover && !onButton) this.choose(this.hover);
    else if (change && this.player.length && !target.closest("select")) this.player.stepBy(change);
    else return false;
    return true;
  }

  /** Keys that a slider or an example, which has the focus after a click, has no use for. */
  keyOnPage(key, target, near) {
    const idle = isSlider(target) || (near && !target.closest("button, select"));
    if (key === "Escape") return this.escape();
    if (key === "?") this.toggleKeys();
    else if (key === " " && this.player.length && idle) this.player.toggle();
    else return false;
    return true;
  }

  escape() {
    if (!this.keys.hidden) this.toggleKeys(false);
    else if (this.pin) this.setPin("");
    else return false;
    return true;
  }

  /** 1 to 4 choose a view wherever the focus is, except where text is typed: a cell's editor too. */
  keyAnywhere(key) {
    const view = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
    if (view < 0 || view >= this.data.views.length) return false;
    this.chooseView(view);
    return true;
  }
}

/** Which of Python's answers say more than that it has heard of what was chosen here. */
class Answered {
  constructor() {
    this.sent = new Set();
    this.last = null;
  }

  /** Python's value counts when it changes, unless it answers a click that others have followed. */
  isNews(value, now) {
    if (value === this.last) return false;
    this.last = value;
    if (value !== now && this.sent.has(value)) return false;
    this.sent.clear();
    return value !== now;
  }
}
