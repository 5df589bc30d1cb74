// How large cells and digits can be in the room that there is.

const CELL = 48; // at 1280×720 (VISUAL.md), as all sizes here
const MATRIX_CELL_BESIDE_GRIDS = 34;
const LARGE_GRID_CELL = 24;
const SPARSITY_CELL = 12; // at first; it grows where there is room
const CELL_WITH_DIGITS = 17; // a lower one shows none
const DIGITS = 22;
const SMALL_DIGITS = 18;
const SMALLEST_DIGITS = { matrix: 12, normal: 13 }; // below 18 there is a lens too
const TITLE = 20;
const TITLE_LINE = 26;
const MOST_TITLE_LINES = 3;
const TITLE_GAP = 6;
const SIGN = 32;
const GAP_IN_LINE = 12;
const WIDEST = 1.3; // cells for long numbers may be that much wider than high
const WIDEST_IN_MATRIX = 1.6;
const WIDE = 40; // and low ones, whatever their height, so wide
const MATRIX_COLUMNS = 9; // kernels and plain grids with more rows or columns are matrices
const LARGE_GRID = 13; // cells across, from which a grid has no digits

/** Widths of texts, measured once each. */
class Ruler {
  constructor() {
    this.context = document.createElement("canvas").getContext("2d");
    this.widths = new Map();
  }

  use(family) {
    if (family === this.family) return;
    this.family = family;
    this.context.font = `600 100px ${family}`;
    this.widths.clear();
  }

  /** Width of a text in semibold type of size 1. */
  width(text) {
    let width = this.widths.get(text);
    if (width === undefined) {
      width = this.context.measureText(text).width / 100;
      this.widths.set(text, width);
    }
    return width;
  }

  widest(texts) {
    return texts.reduce((most, text) => Math.max(most, this.width(text)), 0);
  }
}

/**
 * Grids of one kind have cells of one size, so that a kernel is as large as the window it meets.
 * A matrix may have small digits, a large or a compact grid has none.
 */
function kindOf({ compact, role, columns, texts }) {
  const rows = texts.length / columns;
  const most = Math.max(rows, columns);
  if (compact) return "compact";
  if (rows === 1) return columns > 2 * LARGE_GRID ? "long" : "normal";
  // Its transpose is a matrix too.
  if (["plain", "kernel"].includes(role) && most >= MATRIX_COLUMNS) return "matrix";
  return most >= LARGE_GRID ? "large" : "normal";
}

function squareOf(cell) {
  return { width: cell, height: cell, gap: cell >= 30 ? 2 : cell >= 16 ? 1 : 0 };
}

/** Pixels for a text in a cell: a wider cell never has fewer. */
function roomIn(width) {
  return width - clamp(width - 35, 4, 8);
}

/** The width of a cell for a text. */
function widthFor(text) {
  return Math.ceil(text) + (text <= 35 ? 4 : 8);
}

/** Pixels of `count` cells in a row. */
function run(count, cell, gap) {
  return count * (cell + gap) - gap;
}

/** What is to be placed, how much room it has, and what it needs at given sizes. */
class Fit {
  /**
   * `rows`: of GridViews and signs. `room`: {width, height} in pixels. `scale`: 1 at 1280×720.
   * `between`: pixels between rows. `aligned`: whether rows stand cell above cell.
   */
  constructor({ rows, room, scale, between, aligned, ruler }) {
    Object.assign(this, { rows, room, scale, between, aligned, ruler });
    this.views = rows.flat().filter((item) => item instanceof GridView);
    this.kinds = new Set(this.views.map((view) => kindOf(view.spec)));
    this.bases = {
      normal: CELL * scale,
      long: CELL * scale,
      matrix: (this.kinds.has("normal") ? MATRIX_CELL_BESIDE_GRIDS : CELL) * scale,
      large: LARGE_GRID_CELL * scale,
      compact: LARGE_GRID_CELL * scale,
    };
    this.starts = { ...this.bases };
    // What is read comes before what only says where something stands.
    const onlyWhere = this.views.some(({ spec }) => spec.compact && !spec.ramp);
    if (onlyWhere) this.starts.compact = SPARSITY_CELL * scale;
  }

  /** Sizes by kind of grid, and in how many lines titles are set. */
  solve() {
    const fullest = this.solveIn(this.best());
    if (this.isReadable(fullest.sizes)) return fullest;
    // Titles in more lines, or in fewer, may leave numbers the room that they need.
    for (let lines = 1; lines <= MOST_TITLE_LINES; lines++) {
      const other = this.solveIn({ factor: this.largest(lines), lines });
      if (this.isReadable(other.sizes)) return other;
    }
    return fullest;
  }

  solveIn({ factor, lines }) {
    const sizes = this.sizesAt(factor);
    // Digits of good size before larger cells; larger ones may take wider numbers.
    this.widen(sizes, lines, "normal", WIDEST);
    this.widen(sizes, lines, "matrix", WIDEST_IN_MATRIX);
    this.grow(sizes, lines, "compact", this.starts.compact);
    for (const kind of this.kinds) this.grow(sizes, lines, kind, this.bases[kind]);
    this.widen(sizes, lines, "normal", WIDEST);
    this.widen(sizes, lines, "matrix", WIDEST_IN_MATRIX);
    if (this.aligned && this.kinds.has("long") && this.kinds.has("normal")) {
      const least = sizes.long.width < sizes.normal.width ? sizes.long : sizes.normal;
      Object.assign(sizes, { long: least, normal: least });
    }
    return { sizes, lines };
  }

  /** Whether all numbers of the grids that show any have digits of `least` pixels. */
  isReadable(sizes, least = SMALL_DIGITS) {
    return this.views.every(({ spec }) => {
      const kind = kindOf(spec);
      if (kind !== "normal" && kind !== "matrix") return true;
      return typeSizes(spec, sizes[kind], this.scale, this.ruler).long >= least * this.scale;
    });
  }

  /** All kinds shrank alike until the largest grid fitted: the others may have room. */
  grow(sizes, lines, kind, most) {
    const small = sizes[kind];
    for (let cell = Math.floor(most); cell > small.height; cell--) {
      const square = squareOf(cell);
      sizes[kind] = { ...square, width: Math.max(cell, small.width) };
      if (this.fits(sizes, lines)) return;
    }
    sizes[kind] = small;
  }

  /** The largest factor of the base sizes; titles in more lines only where that helps. */
  best() {
    let best = { factor: 0, lines: 1 };
    for (let lines = 1; lines <= MOST_TITLE_LINES && best.factor < 1; lines++) {
      const factor = this.largest(lines);
      if (factor > 1.05 * best.factor) best = { factor, lines };
    }
    return best;
  }

  largest(lines) {
    const works = (factor) => this.fits(this.sizesAt(factor), lines);
    if (works(1)) return 1;
    let [low, high] = [0.05, 1];
    for (let i = 0; i < 12; i++) {
      const middle = (low + high) / 2;
      if (works(middle)) low = middle;
      else high = middle;
    }
    return low;
  }

  sizesAt(factor) {
    const size = (base) => squareOf(Math.max(3, Math.floor(base * factor)));
    return Object.fromEntries(Object.entries(this.starts).map(([kind, base]) => [kind, size(base)]));
  }

  fits(sizes, lines) {
    const need = this.needs(sizes, lines);
    return need.across <= this.room.width && need.down <= this.room.height;
  }

  needs(sizes, lines) {
    const rows = this.rows.map((row) => this.rowNeeds(row, sizes, lines));
    return {
      across: Math.max(...rows.map((row) => row.across)),
      down: rows.reduce((sum, row) => sum + row.down, this.between * (rows.length - 1)),
    };
  }

  rowNeeds(row, sizes, lines) {
    let down = 0;
    let across = GAP_IN_LINE * this.scale * (row.length - 1);
    row.forEach((item, i) => {
      const box = item instanceof GridView ? this.gridNeeds(item, sizes, lines) : this.signNeeds(item);
      // Two grids without a sign between stand further apart.
      if (i && item instanceof GridView && row[i - 1] instanceof GridView) {
        across += 16 * this.scale;
      }
      across += box.across;
      down = Math.max(down, box.down);
    });
    return { across, down };
  }

  signNeeds(sign) {
    return { across: (this.ruler.width(sign) * SIGN + 8) * this.scale, down: SIGN * this.scale };
  }

  gridNeeds(view, sizes, lines) {
    const { width, height, gap } = sizes[kindOf(view.spec)];
    const [left, right, above, below] = view.overhang();
    const across = run(view.spec.columns + left + right, width, gap);
    const down = run(view.height + above + below, height, gap);
    if (!view.spec.title) return { across, down };
    if (view.aside) return { across: across + 2 * this.titleWidth(view), down };
    return {
      across: Math.max(across, this.titleWidth(view, lines)),
      down: down + (lines * TITLE_LINE + TITLE_GAP) * this.scale,
    };
  }

  /** Pixels of the longest line of a title, with the padding of the chip around its letter. */
  titleWidth(view, lines = 1) {
    // As it is written: its letter may stand before the spec's title.
    const whole = (this.ruler.width(view.title.textContent) + 1) * TITLE * this.scale;
    if (lines === 1) return whole;
    return Math.min(whole / lines + 3 * TITLE * this.scale, this.room.width);
  }

  /** Make cells wider, if there is room, until the longest text has digits of good size. */
  widen(sizes, lines, kind, ratio) {
    if (!this.kinds.has(kind)) return;
    const size = sizes[kind];
    const { height } = size;
    const texts = this.views.filter((view) => kindOf(view.spec) === kind).map((v) => v.spec.texts);
    const widest = Math.max(...texts.map((some) => this.ruler.widest(some)));
    const digits = height >= CELL_WITH_DIGITS * this.scale ? SMALL_DIGITS * this.scale : 0.72 * height;
    const most = Math.floor(Math.max(height * ratio, WIDE * this.scale));
    const wanted = Math.min(widthFor(widest * digits), most);
    while (size.width < wanted) {
      size.width++;
      if (this.needs(sizes, lines).across > this.room.width) {
        size.width--;
        return;
      }
    }
  }
}

/** Type sizes in a grid: of its digits, and of texts that are too long for them; 0 for none. */
function typeSizes(spec, { width, height }, scale, ruler) {
  const none = { digits: 0, long: 0, fits: () => true };
  const kind = kindOf(spec);
  if (kind === "compact" || kind === "large") return none;
  let digits = (height >= 40 * scale ? DIGITS : SMALL_DIGITS) * scale;
  if (height < CELL_WITH_DIGITS * scale) {
    if (kind !== "matrix") return none;
    digits = height * 0.72;
  }
  const room = roomIn(width);
  const widest = ruler.widest(spec.texts);
  const long = Math.floor(2 * Math.min(digits, room / (widest || 1))) / 2;
  if (long < (SMALLEST_DIGITS[kind] ?? SMALLEST_DIGITS.normal)) return none;
  const fits = (text) => ruler.width(text) * digits <= room;
  // Two sizes side by side look restless unless the smaller is the exception.
  const many = spec.texts.filter((text) => !fits(text)).length > spec.texts.length / 4;
  return many ? { digits: long, long, fits: () => true } : { digits, long, fits };
}
