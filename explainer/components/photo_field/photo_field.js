// A table of layers and their fields on a photo. Python computes every number; here they are drawn,
// and looked up under the pointer without a message to the server.

const STEP = 700; // ms a step while playing

function drawIn(component) {
  const host = component.parentElement.querySelector(".photo-field");
  // The function runs again on every change of the data, in the same DOM: build once.
  const field = (host.field ??= new PhotoField(host));
  field.send = component.setTriggerValue;
  field.answers.take(component.data);
  return ending(host, () => field.leave());
}

class PhotoField {
  constructor(host) {
    this.host = host;
    this.hot = null; // the row that is pointed at or stepped to; null: the chosen one
    this.timer = 0;
    this.version = 0;
    this.rows = [];
    this.head = make("tr");
    this.body = make("tbody");
    this.table = make("div", { class: "stack", "data-role": "stack" }, this.player(), this.grid());
    this.svg = draw("svg", {
      tabindex: "0",
      role: "application",
      "data-role": "stage",
      "aria-label": "The photo. Arrow keys move the place, Enter sets it.",
    });
    this.strip = make("div", { class: "strip", "data-role": "strip", "aria-live": "polite" });
    const help = { type: "button", class: "help", "aria-label": "keys", "aria-expanded": "false" };
    this.help = make("button", help, "?");
    this.keys = make("div", { class: "keys", role: "note", "aria-label": "keys" });
    this.keys.hidden = true;
    const foot = make("div", { class: "foot" }, this.strip, this.help);
    this.stage = make("div", { class: "stage" }, this.svg, foot, this.keys);
    this.listeners = new AbortController();
    this.answers = new Answers((data) => this.update(data), this.listeners.signal);
    host.replaceChildren(this.table, this.stage);
    this.listen();
  }

  leave() {
    clearTimeout(this.timer);
    this.listeners.abort();
    delete this.host.field;
  }

  grid() {
    return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, this.head), this.body));
  }

  player() {
    const button = (what, text, label) =>
      make("button", { type: "button", "data-play": what, "aria-label": label, title: label }, text);
    this.play = button("toggle", "▶ Play", "Play: layer by layer (space)");
    this.count = make("span", { class: "count" });
    return make(
      "div",
      { class: "player" },
      button("back", "◀", "The layer before (←)"),
      this.play,
      button("on", "▶", "The next layer (→)"),
      this.count,
    );
  }

  // ------------------------------------------------------------------ data

  update(data) {
    const text = JSON.stringify(data);
    if (text === this.text) return;
    this.text = text;
    const moved = JSON.stringify(this.data?.place) !== JSON.stringify(data.place);
    const stack = JSON.stringify([data.chosen, data.rows.map((row) => row.numbers)]);
    this.data = data;
    if (moved) this.probe = null;
    if (this.hot !== null && (this.hot >= data.rows.length || !this.timer)) this.hot = null;
    this.host.classList.toggle("alone", data.rows.length === 0);
    this.tabulate();
    this.paint();
    this.light();
    this.writeKeys();
    if (stack !== this.stack) this.reveal(data.chosen);
    this.stack = stack;
    this.host.dataset.version = String(++this.version);
    this.host.dataset.ready = "true";
  }

  /** The rows stay the same elements, so that the keyboard's focus stays where it is. */
  tabulate() {
    const { rows, results, limits } = this.data;
    const names = ["layer", ...Object.keys(limits), ...Object.keys(results)];
    if (this.headings !== names.join()) {
      this.headings = names.join();
      this.head.replaceChildren(
        ...names.map((name) =>
          make("th", { scope: "col", title: results[name] ?? name }, limits[name] ? name[0] : name),
        ),
        make("th", { "aria-label": "add or remove" }),
      );
      this.body.replaceChildren();
      this.rows = [];
    }
    while (this.rows.length > rows.length) this.rows.pop().remove();
    while (this.rows.length < rows.length) this.rows.push(this.body.appendChild(this.row(names)));
    rows.forEach((row, i) => this.fill(this.rows[i], row, i));
  }

  row() {
    const { results, limits } = this.data;
    const numbers = Object.entries(limits).map(([name, [min, max]]) =>
      make("td", { class: "number" }, make("input", { type: "number", min, max, step: 1, "data-field": name })),
    );
    const found = Object.keys(results).map((name) => make("td", { class: "result", "data-result": name }));
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, make("button", { type: "button", class: "name" })),
      ...numbers,
      ...found,
      make(
        "td",
        { class: "edit" },
        make("button", { type: "button", "data-change": "add" }, "+"),
        make("button", { type: "button", "data-change": "remove" }, "×"),
      ),
    );
  }

  fill(element, row, i) {
    element.dataset.row = i;
    const name = element.querySelector(".name");
    name.textContent = row.name;
    name.setAttribute("aria-label", row.says);
    for (const input of element.querySelectorAll("input")) {
      // What is being typed stays; it comes back with the next change.
      if (!input.dataset.typing) input.value = row.numbers[input.dataset.field];
      input.setAttribute("aria-label", `${input.dataset.field} of ${row.name}`);
    }
    [...element.querySelectorAll(".result")].forEach((cell, j) => (cell.textContent = row.results[j]));
    const [add, remove] = element.querySelectorAll("[data-change]");
    setAll(add, { "aria-label": `repeat ${row.name}`, title: `repeat ${row.name}` });
    setAll(remove, { "aria-label": `remove ${row.name}`, title: `remove ${row.name}` });
    add.disabled = this.data.rows.length >= this.data.most;
    remove.disabled = this.data.rows.length < 2;
  }

  // ------------------------------------------------------------------ the photo

  paint() {
    const { view, width, height, photo, heat, boxes, rows, circles } = this.data;
    this.svg.setAttribute("viewBox", view.join(" "));
    this.unit = Math.max(view[2] / 620, view[3] / 430); // a screen pixel, about, in the photo's
    const fill = { x: 0, y: 0, width, height };
    const hatch = draw(
      "pattern",
      { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      draw("rect", { width: 8, height: 8, class: "hatch-ground" }),
      draw("line", { x1: 0, x2: 0, y1: 0, y2: 8, class: "hatch-line" }),
    );
    const [left, top, across, down] = view;
    this.fields = rows.map((row, i) => this.rectangle(row.box, "field", { "data-field-row": i }));
    this.rings = circles.map((circle) => this.ring(circle));
    this.cross = draw("path", { class: "place", "data-role": "place" });
    this.svg.replaceChildren(
      draw("defs", {}, hatch),
      draw("rect", { x: left, y: top, width: across, height: down, fill: "url(#hatch)" }),
      draw("image", { href: photo, preserveAspectRatio: "none", ...fill }),
      ...(heat ? [draw("image", { href: heat, class: "heat", preserveAspectRatio: "none", ...fill })] : []),
      ...boxes.map((box) => this.rectangle(box, "field lone")),
      ...this.fields,
      ...this.rings,
      this.cross,
    );
    this.mark();
  }

  rectangle([x, y, width, height], name, more = {}) {
    return draw("rect", { x, y, width, height, class: name, ...more });
  }

  ring({ radius, kind, text }) {
    const [y, x] = this.data.place;
    const circle = draw("circle", { cx: x, cy: y, r: radius, class: `ring ${kind}`, "data-ring": kind });
    const size = 20 * this.unit;
    // On the circle, to the right where there is room.
    const [left, top, across, down] = this.data.view;
    const angle = kind === "guess" ? -Math.PI / 4 : Math.PI / 4;
    const tx = Math.min(x + radius * Math.cos(angle) + 6 * this.unit, left + across - 6 * size);
    const ty = Math.max(top + size, Math.min(y + radius * Math.sin(angle), top + down - size / 2));
    const label = draw("text", { x: tx, y: ty, "font-size": size, class: `ring-text ${kind}` });
    label.textContent = text;
    const grip = draw("circle", { cx: x, cy: y, r: radius, class: "grip" });
    return draw("g", {}, circle, ...(kind === "guess" ? [grip] : []), ...(text ? [label] : []));
  }

  mark() {
    const [y, x] = this.probe ?? this.data.place;
    const arm = 9 * this.unit;
    setAll(this.cross, {
      d: `M${x - arm} ${y}H${x + arm}M${x} ${y - arm}V${y + arm}`,
      "data-y": y,
      "data-x": x,
    });
  }

  /** Light the row that counts now, its field, and what it says. */
  light() {
    const { rows, chosen, says, title } = this.data;
    const now = this.hot ?? chosen;
    this.rows.forEach((row, i) => {
      row.classList.toggle("active", i === now);
      row.classList.toggle("chosen", i === chosen);
      row.querySelector(".name").setAttribute("aria-pressed", i === chosen);
      // One row at a time is in the tab order; ↑ and ↓ go from row to row.
      for (const stop of row.querySelectorAll("input, button")) stop.tabIndex = i === now ? 0 : -1;
    });
    this.fields.forEach((field, i) => {
      field.classList.toggle("active", i === now);
      field.classList.toggle("later", i > now);
    });
    if (rows.length) this.count.textContent = `${title}: layer ${now + 1} of ${rows.length}`;
    const text = rows[now]?.says ?? says;
    if (this.strip.textContent !== text) this.strip.textContent = text;
  }

  show(row, scroll = true) {
    this.hot = row;
    this.light();
    if (scroll && row !== null) this.reveal(row);
  }

  /** Scroll the table, and only the table, so that a row is seen. */
  reveal(i) {
    const [row, frame] = [this.rows[i], this.body.closest(".scroll")];
    if (!row) return;
    const head = this.head.offsetHeight;
    const bottom = row.offsetTop + row.offsetHeight - frame.clientHeight;
    frame.scrollTop = Math.max(bottom, Math.min(row.offsetTop - head, frame.scrollTop));
  }

  // ------------------------------------------------------------------ keys

  writeKeys() {
    const { rows, circles, views } = this.data;
    const list = [
      rows.length && ["← → ↑ ↓", "in the table: another layer"],
      rows.length && ["space", "play, pause"],
      ["arrows", "on the photo: move the cross"],
      ["click, Enter", "set it there"],
      circles.length && ["drag, + −", "your circle"],
      views > 1 && [`1 – ${views}`, "another view"],
      ["?", "this list"],
    ].filter(Boolean);
    const parts = list.flatMap(([key, what]) => [make("kbd", {}, key), make("span", {}, what)]);
    this.keys.replaceChildren(...parts);
  }

  toggleKeys(open = this.keys.hidden) {
    this.keys.hidden = !open;
    this.help.setAttribute("aria-expanded", String(open));
  }

  /** Wherever the focus is, except where text is typed; numbers of layers are text. */
  keyAnywhere(event) {
    const target = event.composedPath()[0];
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (event.defaultPrevented || modified || takesText(target)) return;
    const free = event.composedPath().includes(this.host) || isForPage(event);
    const view = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : -1;
    if (view >= 0 && view < this.data.views) this.send("view", view);
    else if (!free) return;
    else if (event.key === "?") this.toggleKeys();
    else if (event.key === "Escape" && !this.keys.hidden) this.toggleKeys(false);
    else if (event.key === "Escape" && this.timer) this.stop();
    else if (event.key === " " && this.data.rows.length && (isNowhere(target) || isSlider(target))) this.toggle();
    else return;
    event.preventDefault();
  }

  // ------------------------------------------------------------------ hands

  listen() {
    const rowOf = (event) => {
      const row = event.target.closest("tr[data-row]");
      return row ? Number(row.dataset.row) : null;
    };
    this.body.addEventListener("pointerover", (event) => {
      if (!this.timer) this.show(rowOf(event), false);
    });
    this.body.addEventListener("pointerleave", () => this.timer || this.show(null));
    this.body.addEventListener("focusin", (event) => this.timer || this.show(rowOf(event)));
    this.body.addEventListener("focusout", () => this.timer || this.show(null));
    this.body.addEventListener("input", (event) => (event.target.dataset.typing = "yes"));
    this.body.addEventListener("change", (event) => this.edited(event.target, rowOf(event)));
    this.host.addEventListener("click", (event) => {
      const { change, play } = event.target.closest("button")?.dataset ?? {};
      const row = rowOf(event);
      if (change) this.send("change", { row, what: change });
      else if (play === "toggle") this.toggle();
      else if (play) this.step(play === "on" ? 1 : -1);
      else if (row !== null && event.target.tagName !== "INPUT") this.send("layer", row);
    });
    this.table.addEventListener("keydown", (event) => this.tableKey(event));
    this.svg.addEventListener("keydown", (event) => this.stageKey(event));
    this.help.addEventListener("click", () => this.toggleKeys());
    const { signal } = this.listeners;
    document.addEventListener("keydown", (event) => this.keyAnywhere(event), { signal });
    this.svg.addEventListener("pointerdown", (event) => this.pressed(event));
    this.svg.addEventListener("pointermove", (event) => this.dragged(event));
    this.svg.addEventListener("pointerup", (event) => this.released(event));
    this.svg.addEventListener("pointercancel", () => (this.grabbed = null));
  }

  edited(input, row) {
    delete input.dataset.typing;
    // As a number is written: 1e1 is 10.
    const text = input.value && String(input.valueAsNumber).slice(0, 8);
    this.send("edit", { row, field: input.dataset.field, text });
    // Python says what is wrong, and sends nothing new.
    if (!input.value || !input.checkValidity()) input.value = this.data.rows[row].numbers[input.dataset.field];
  }

  tableKey(event) {
    if (event.target.tagName === "INPUT") return;
    const onButton = event.target.dataset.play || event.target.dataset.change;
    const next = event.key === "ArrowRight" || event.key === "ArrowDown";
    if (next) this.step(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") this.step(-1);
    else if (event.key === " " && !onButton) this.toggle();
    else if (event.key === "Escape" && this.keys.hidden) this.stop();
    else return;
    event.preventDefault();
  }

  stageKey(event) {
    const far = event.shiftKey ? 1 : 16;
    const move = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far], ArrowRight: [0, far] };
    if (move[event.key]) {
      const [y, x] = this.probe ?? this.data.place;
      this.probe = this.onPhoto(y + move[event.key][0], x + move[event.key][1]);
      this.mark();
    } else if (event.key === "Enter" && this.probe) {
      this.place(this.probe);
    } else if (event.key === "Escape" && this.keys.hidden) {
      this.probe = null;
      this.mark();
    } else if ("+-".includes(event.key) && this.rings.length) {
      this.resize(this.data.circles[0].radius + (event.key === "+" ? 5 : -5));
    } else return;
    event.preventDefault();
  }

  step(by) {
    const last = this.data.rows.length - 1;
    const row = Math.max(0, Math.min(last, (this.hot ?? this.data.chosen) + by));
    this.show(row);
    const focused = this.host.getRootNode().activeElement;
    if (this.body.contains(focused)) this.rows[row].querySelector(".name").focus();
  }

  toggle() {
    if (this.timer) return this.stop();
    this.show(0);
    this.play.textContent = "❚❚ Pause";
    const next = () => {
      if (this.hot === null || this.hot >= this.data.rows.length - 1) return this.stop(true);
      this.step(1);
      this.timer = setTimeout(next, STEP);
    };
    this.timer = setTimeout(next, STEP);
  }

  stop(stay = false) {
    clearTimeout(this.timer);
    this.timer = 0;
    this.play.textContent = "▶ Play";
    if (!stay) this.show(null);
  }

  onPhoto(y, x) {
    const { height, width } = this.data;
    const within = (value, size) => Math.max(0, Math.min(size - 1, Math.round(value)));
    return [within(y, height), within(x, width)];
  }

  point(event) {
    const at = new DOMPoint(event.clientX, event.clientY);
    return at.matrixTransform(this.svg.getScreenCTM().inverse());
  }

  place([y, x]) {
    this.probe = [y, x];
    this.mark();
    this.send("place", { y, x });
  }

  pressed(event) {
    this.grabbed = event.target.classList.contains("grip") ? "ring" : "photo";
    if (this.grabbed === "ring") this.svg.setPointerCapture(event.pointerId);
  }

  radiusAt(event) {
    const [y, x] = this.data.place;
    const at = this.point(event);
    return Math.max(1, Math.round(Math.hypot(at.y - y, at.x - x)));
  }

  dragged(event) {
    if (this.grabbed === "ring") this.draft(this.radiusAt(event));
  }

  draft(radius) {
    for (const circle of this.rings[0].querySelectorAll("circle")) circle.setAttribute("r", radius);
  }

  resize(radius) {
    this.draft(radius);
    this.data.circles[0].radius = radius;
    this.text = null; // whatever Python answers is drawn
    this.send("radius", radius);
  }

  released(event) {
    const grabbed = this.grabbed;
    this.grabbed = null;
    if (grabbed === "ring") this.resize(this.radiusAt(event));
    else if (grabbed === "photo") {
      const at = this.point(event);
      this.place(this.onPhoto(at.y, at.x));
    }
  }
}
