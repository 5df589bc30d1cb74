// The player: which step is shown, its buttons, and the clock. Sends nothing to the server.

const STEP_MS = 700;
const STAMP_MS = 240;
const SPEEDS = [
  ["× ¼", 0.25],
  ["× ½", 0.5],
  ["× 1", 1],
  ["× 2", 2],
  ["× 4", 4],
];

class Player {
  /** Calls `onStep(animate)` when another step is to be shown, `onPlay()` as play starts or ends. */
  constructor(onStep, onPlay) {
    this.onStep = onStep;
    this.onPlay = onPlay;
    this.steps = null;
    this.step = null; // from 0; null: everything is shown
    this.speed = 1;
    this.timer = 0;
    const button = (name, label, ...children) => {
      const attributes = { type: "button", "data-do": name, "aria-label": label, title: label };
      return make("button", attributes, ...children);
    };
    this.playButton = button("play", "play");
    this.all = button("all", "show everything", "all");
    this.scrub = make("input", { type: "range", min: "1", "aria-label": "step" });
    this.count = make("span", { class: "count" });
    this.select = make("select", { "aria-label": "speed" });
    for (const [text, value] of SPEEDS) {
      this.select.append(make("option", { value, selected: value === 1 }, text));
    }
    this.element = make(
      "div",
      { class: "player", role: "group", "aria-label": "player" },
      button("back", "step back (←)", icon("back")),
      this.playButton,
      button("forward", "step forward (→)", icon("forward")),
      this.scrub,
      this.count,
      this.select,
      this.all,
    );
    this.element.addEventListener("click", (event) => this.onClick(event));
    this.scrub.addEventListener("input", () => {
      const step = Number(this.scrub.value) - 1; // pausing draws the old one
      this.pause();
      this.goTo(step);
    });
    this.select.addEventListener("change", () => (this.speed = Number(this.select.value)));
  }

  /** New steps from Python, or null for none; the position stays as far as there is one. */
  update(steps) {
    this.steps = steps;
    if (!this.length) this.pause();
    if (this.step !== null) this.step = this.length ? Math.min(this.step, this.length - 1) : null;
    this.draw();
  }

  get length() {
    return this.steps?.cells.length ?? 0;
  }

  get playing() {
    return this.timer !== 0;
  }

  /** The active cell of the step, or null. */
  get spot() {
    const { steps, step } = this;
    return steps && step !== null ? { name: steps.grid, cell: steps.cells[step], step } : null;
  }

  /** By grid, the cells that this step lights instead of the linked ones, or null. */
  get lights() {
    const lights = this.step === null ? null : this.steps?.lights?.[this.step];
    return lights ? new Map(Object.entries(lights).map(([name, c]) => [name, new Set(c)])) : null;
  }

  /** What this step says instead of its cell's term, or "". */
  get says() {
    return (this.step !== null && this.steps?.says?.[this.step]) || "";
  }

  /** What a grid shows at this step, texts by cell; null where it shows all of its own. */
  textsOf(name) {
    const writes = this.steps?.writes[name];
    if (!writes || this.step === null || this.step >= this.length - 1) return null;
    const texts = new Map();
    for (const written of writes.slice(0, this.step + 1)) {
      for (const [cell, text] of written) texts.set(cell, text);
    }
    return texts;
  }

  /** The cells of a grid that this step wrote. */
  writtenIn(name) {
    const writes = this.step === null ? [] : (this.steps?.writes[name]?.[this.step] ?? []);
    return writes.map(([cell]) => cell);
  }

  goTo(step) {
    if (!this.length) return;
    this.step = step === null ? null : clamp(step, 0, this.length - 1);
    this.onStep(!reducedMotion());
    this.draw();
  }

  stepBy(change) {
    if (change > 0 && this.step === this.length - 1) {
      this.showAll();
      return;
    }
    this.pause();
    const from = this.step ?? (change > 0 ? -1 : this.length);
    this.goTo(from + change);
  }

  toggle() {
    if (this.playing) this.pause();
    else if (this.length) this.advance(this.atEnd() ? 0 : this.step + 1);
  }

  atEnd() {
    return this.step === null || this.step >= this.length - 1;
  }

  /** Show a step and go on after a while, in the end to everything: one lit cell dims the rest. */
  advance(step) {
    this.goTo(step);
    const next = () => (this.atEnd() ? this.showAll() : this.advance(this.step + 1));
    this.timer = setTimeout(next, STEP_MS / this.speed);
    this.draw();
  }

  showAll() {
    this.pause();
    this.goTo(null);
  }

  pause() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.draw();
  }

  onClick(event) {
    const action = event.target.closest("[data-do]")?.dataset.do;
    if (action === "play") this.toggle();
    if (action === "back") this.stepBy(-1);
    if (action === "forward") this.stepBy(1);
    if (action === "all") this.showAll();
  }

  draw() {
    this.onPlay();
    this.element.hidden = !this.length;
    if (!this.length) return;
    const at = this.step === null ? this.length : this.step + 1;
    const text = this.step === null ? `all ${this.length}` : `${this.steps.word} ${at} of ${this.length}`;
    mark(this.scrub, "max", this.length);
    this.scrub.value = String(at);
    setAll(this.scrub, { "aria-valuetext": text, title: text });
    write(this.count, this.textOf(at));
    const state = this.playing ? "pause" : "play";
    if (this.playButton.dataset.state !== state) {
      this.playButton.replaceChildren(icon(state));
      setAll(this.playButton, { "data-state": state, "aria-label": state, title: `${state} (space)` });
    }
    mark(this.all, "aria-pressed", String(this.step === null));
  }

  /** Short: the views and the player share a row. */
  textOf(number) {
    return `${number}/${this.length}`;
  }
}
