// Which cells belong together: a look-up in the links that Python computed.

class Links {
  /** `groups` as Python sent them; `roles` of the grids by name. */
  constructor(groups, roles) {
    this.groups = groups;
    this.roles = roles;
    this.tables = groups.map(() => new Map());
  }

  /**
   * The links at each cell of a grid, sorted once when the first cell is pointed at: places in the
   * group's lists, `order[starts[cell]]` to `order[starts[cell + 1] - 1]`.
   */
  table(g, name) {
    let table = this.tables[g].get(name);
    if (!table) {
      const cells = this.groups[g].cells[name];
      const most = cells.reduce((largest, cell) => Math.max(largest, cell), -1);
      const starts = new Int32Array(most + 2);
      for (const cell of cells) if (cell >= 0) starts[cell + 1]++;
      for (let i = 1; i < starts.length; i++) starts[i] += starts[i - 1];
      const next = starts.slice();
      const order = new Int32Array(starts.at(-1));
      cells.forEach((cell, place) => {
        if (cell >= 0) order[next[cell]++] = place;
      });
      table = { starts, order };
      this.tables[g].set(name, table);
    }
    return table;
  }

  isKernel(name) {
    return this.roles.get(name) === "kernel";
  }

  /**
   * The lit cells by grid, from one cell outwards, group by group. A grid is lit once, by the nearest
   * groups. From a kernel it only goes on to the same weights elsewhere (the flipped kernel): they
   * meet everything. A weight that is pointed at, here or elsewhere, lights what it meets, and a
   * group that has it lights nothing else.
   */
  light({ name, cell }) {
    const lit = new Map([[name, new Set([cell])]]);
    const used = new Set();
    const pointedAt = new Set([name]);
    let frontier = [name];
    while (frontier.length) {
      const found = new Map();
      for (const [g, { cells }] of this.groups.entries()) {
        const sameWeights = Object.keys(cells).every((grid) => this.isKernel(grid));
        const goesOn = (grid) => pointedAt.has(grid) || sameWeights || !this.isKernel(grid);
        const all = used.has(g) ? [] : frontier.filter((grid) => cells[grid] && goesOn(grid));
        if (!all.length) continue;
        const exact = all.filter((grid) => pointedAt.has(grid));
        const from = exact.length ? exact : all;
        used.add(g);
        for (const grid of from) this.follow(g, grid, lit, found);
        if (sameWeights && from.some((grid) => pointedAt.has(grid)))
          for (const grid of Object.keys(cells)) pointedAt.add(grid);
      }
      for (const [grid, cells] of found) lit.set(grid, cells);
      frontier = [...found.keys()];
    }
    return lit;
  }

  /** Add to `found` what a group's links hold of the grids that are not lit yet. */
  follow(g, grid, lit, found) {
    const others = Object.entries(this.groups[g].cells).filter(([other]) => !lit.has(other));
    const { starts, order } = this.table(g, grid);
    for (const cell of lit.get(grid)) {
      for (let at = starts[cell] ?? 0; at < (starts[cell + 1] ?? 0); at++) {
        for (const [other, cells] of others) {
          if (cells[order[at]] < 0) continue;
          if (!found.has(other)) found.set(other, new Set());
          found.get(other).add(cells[order[at]]);
        }
      }
    }
  }

  /** Pairs of spots to join with lines: those of `lit` cells, or all of them without it. */
  lines(lit) {
    const pairs = [];
    for (const { cells, lines } of this.groups) {
      if (!lines) continue;
      const names = Object.keys(cells).filter((name) => !this.isKernel(name));
      for (let i = 1; i < names.length; i++) {
        const [name, next] = [names[i - 1], names[i]];
        const [ours, theirs] = lit ? [lit.get(name), lit.get(next)] : [null, null];
        if (lit && !(ours && theirs)) continue;
        cells[name].forEach((cell, place) => {
          const other = cells[next][place];
          if (cell < 0 || other < 0 || (lit && !(ours.has(cell) && theirs.has(other)))) return;
          pairs.push([
            { name, cell },
            { name: next, cell: other },
          ]);
        });
      }
    }
    return pairs;
  }
}
