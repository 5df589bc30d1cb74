/*
 * The linked viewer: the photo and each output of a network (FCN-32s, FCN-16s, FCN-8s, or one alone).
 * Python sends labels and scores once; from then on everything happens here and nothing is sent back.
 *
 * Coordinates. "Pixel" (y, x) are integers. On canvases the photo spans [0, width] x [0, height], so
 * that pixel (y, x) is the unit square from (x, y) to (x + 1, y + 1) and a lattice position p in pixel
 * coordinates lies at p + 0.5. A stage shows the photo point (view.x, view.y) in its centre, enlarged by
 * fit * view.zoom.
 */

const NARROW = 700;
const GAP = 16;
const SIDE_CAPTION = 120;
const HANDLE = 20; // half the width of the divider's handle, which names must not hide behind
const CLICK_SLOP = 4;
const PAGE_MARGIN = 8; // between the end of the legend and that of the window
const LEAST_ROWS = 2.5; // of a long legend; half a row at its end tells that there are more
const LARGEST_PIXEL = 48; // CSS pixels of one photo pixel at the highest zoom
const BACKGROUND = 0;

// ---------------------------------------------------------------------------------------- entry

export default function segmentViewer({ data, parentElement }) {
  const root = parentElement.querySelector('[data-role="viewer"]');
  const missing = missingFeature();
  if (missing) {
    const cure = "a current Firefox, Chrome, Edge or Safari works";
    showError(root, `This browser lacks ${missing}, which the viewer needs: ${cure}.`);
    return undefined;
  }
  let received;
  try {
    received = unpack(data);
  } catch (error) {
    showUnreadable(root, error);
    return undefined;
  }
  const viewer = viewerFor(root, received.header.heads);
  readTheme(viewer);
  update(viewer, received);
  return ending(root, () => destroy(viewer));
}

function missingFeature() {
  const needed = ["createImageBitmap", "ResizeObserver"];
  return needed.find((name) => typeof window[name] !== "function");
}

function showError(root, sentence) {
  const message = document.createElement("p");
  message.className = "error";
  message.setAttribute("role", "alert");
  message.textContent = sentence;
  root.replaceChildren(message);
}

function showUnreadable(root, error) {
  console.error(error);
  if (root.segmentViewer) destroy(root.segmentViewer);
  showError(root, "The viewer could not read this result: reload the page.");
}

/** The viewer in the root. Another network may have other outputs: then a new one, as the old was left. */
function viewerFor(root, heads) {
  const before = root.segmentViewer;
  const sources = heads.map(({ stride, name }) => [String(stride), name]);
  if (before && String(before.sources) === String(sources)) return before;
  if (before) destroy(before);
  root.segmentViewer = createViewer(root, sources);
  if (before) {
    const { probe, pinned, view, lattice, opacity, isolated, unfolded, shown, wipe } = before;
    const kept = { probe, pinned, view, lattice, opacity, isolated, unfolded, shown };
    Object.assign(root.segmentViewer, kept);
    Object.assign(root.segmentViewer.wipe, { on: wipe.on, at: wipe.at });
  }
  return root.segmentViewer;
}

async function update(viewer, { header, part }) {
  const { root } = viewer;
  viewer.wanted = header.id;
  // Runs of the script that change something else on the page send the same once more.
  if (viewer.received === header.id) return;
  root.dataset.ready = "false";
  let scene;
  try {
    scene = await decodeScene(header, part);
  } catch (error) {
    if (root.segmentViewer === viewer) showUnreadable(root, error);
    return;
  }
  const superseded = viewer.wanted !== header.id || viewer.received === header.id;
  if (superseded || root.segmentViewer !== viewer) return scene.photo.bitmap.close();
  show(viewer, header.id, scene);
}

function show(viewer, id, scene) {
  viewer.received = id;
  const samePhoto = viewer.shown === scene.photo.id;
  viewer.shown = scene.photo.id;
  viewer.scene?.photo.bitmap.close();
  viewer.scene = scene;
  if (!samePhoto) {
    Object.assign(viewer, { probe: null, pinned: false, view: wholePhoto(scene) });
  }
  if (!scene.legend.some((row) => row.index === viewer.isolated)) viewer.isolated = null;
  viewer.preview = null;
  writeLegend(viewer);
  writeDescriptions(viewer);
  layOut(viewer);
}

function destroy(viewer) {
  if (viewer.root.segmentViewer !== viewer) return;
  viewer.listeners.abort();
  viewer.observer.disconnect();
  viewer.above.disconnect();
  cancelAnimationFrame(viewer.frame);
  viewer.scene?.photo.bitmap.close();
  viewer.root.replaceChildren();
  delete viewer.root.segmentViewer;
}

// --------------------------------------------------------------------------------------- decode

/** The header of what Python sent, and a function that copies an array named in it. */
function unpack(data) {
  const view = new DataView(data.buffer, data.byteOffset);
  const start = 4 + view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, start)));
  return { header, part: ([at, length]) => data.slice(start + at, start + at + length) };
}

async function decodeScene({ photo, classes, heads, legend }, part) {
  const bitmap = createImageBitmap(new Blob([part(photo.jpeg)], { type: "image/jpeg" }));
  const decoded = heads.map((head) => decodeHead(head, photo, part));
  return { photo: { ...photo, bitmap: await bitmap }, classes, legend, heads: decoded };
}

function decodeHead({ stride, name, labels, cells }, photo, part) {
  return {
    stride,
    name,
    pixels: createLayer(part(labels), {
      rows: photo.height,
      cols: photo.width,
      stride: 1,
      first: 0,
    }),
    cells: createLayer(part(cells.labels), cells),
    scores: { ...cells, values: new Int16Array(part(cells.values).buffer) },
  };
}

/** A label map whose cells are squares of `stride` pixels around their centres.
 *
 * It comes as runs of one label, row after row: the end of each, 4 bytes, then the label of each, 1
 * byte. There are some thousand runs and half a million pixels, so what can be drawn from runs is.
 */
function createLayer(bytes, { rows, cols, stride, first }) {
  const count = bytes.length / 5;
  const runs = { ends: new Uint32Array(bytes.buffer, 0, count), labels: bytes.subarray(4 * count) };
  const labels = filled(new Uint8Array(rows * cols), runs, (label) => label);
  return {
    labels,
    runs,
    rows,
    cols,
    stride,
    first,
    corner: first - stride / 2 + 0.5,
    spots: namingSpots({ labels, runs, rows, cols }),
    canvas: null,
    painted: null,
    outlines: new Map(),
  };
}

/** An array with one element a pixel, all those of a run set to the value for its label. */
function filled(pixels, { ends, labels }, valueOf) {
  for (let run = 0, from = 0; run < ends.length; from = ends[run++]) {
    pixels.fill(valueOf(labels[run]), from, ends[run]);
  }
  return pixels;
}

// --------------------------------------------------------------------------------------- look-up

/** For each head, every class's probability at pixel coordinates (y, x), fractional or not. */
function probabilitiesAt({ heads, classes }, y, x) {
  return heads.map(({ scores }) => softmax(interpolated(scores, classes.length, y, x)));
}

/** The classes' scores at (y, x): those of a head's cells, upsampled bilinearly. */
function interpolated({ values, scale, stride, first, fades, rows, cols }, classes, y, x) {
  const columns = reads((x - first) / stride, cols, fades);
  const cells = reads((y - first) / stride, rows, fades).flatMap(([row, down]) =>
    columns.map(([col, across]) => [row * cols + col, scale * down * across]),
  );
  const score = (plane) =>
    cells.reduce((sum, [cell, weight]) => sum + weight * values[plane + cell], 0);
  return Float64Array.from({ length: classes }, (_, index) => score(index * rows * cols));
}

/** The cells beside a fractional cell coordinate and their weights. Beyond the outermost cells the
 * scores fade to 0, as a transposed convolution's do, or keep their value. */
function reads(position, count, fades) {
  const place = fades ? position : clamp(position, 0, count - 1);
  const before = Math.floor(place);
  return [
    [before, before + 1 - place],
    [before + 1, place - before],
  ].filter(([cell]) => cell >= 0 && cell < count);
}

function softmax(scores) {
  const highest = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - highest));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

/** The cell of a layer that covers a pixel. */
function cellAt(layer, { y, x }) {
  const at = (pixel, count) =>
    clamp(Math.floor((pixel + 0.5 - layer.corner) / layer.stride), 0, count - 1);
  return { row: at(y, layer.rows), col: at(x, layer.cols) };
}

/** What each head says at the probe: class, probability, runners-up, and the cell if one is shown. */
function readProbe(viewer) {
  const { scene, probe, lattice } = viewer;
  const atPixel = lattice ? null : probabilitiesAt(scene, probe.y, probe.x);
  return scene.heads.map((head, position) => {
    const layer = shownLayer(viewer, head);
    const cell = cellAt(layer, probe);
    const centre = (index) => layer.first + index * layer.stride;
    const all = atPixel ?? probabilitiesAt(scene, centre(cell.row), centre(cell.col));
    const probabilities = all[position];
    const index = layer.labels[cell.row * layer.cols + cell.col];
    const others = probabilities
      .map((probability, other) => ({ index: other, probability }))
      .filter((other) => other.index !== index && other.probability >= 0.01)
      .sort((a, b) => b.probability - a.probability)
      .slice(0, 2);
    return { head, layer, cell, index, probability: probabilities[index], others };
  });
}

// -------------------------------------------------------------------------------------- pictures

function shownLayer(viewer, head) {
  return viewer.lattice ? head.cells : head.pixels;
}

function chosenClass(viewer) {
  return viewer.preview ?? viewer.isolated;
}

/** Colour of each label as a little-endian RGBA word. */
function overlayWords(viewer) {
  const { scene, opacity, veil } = viewer;
  const chosen = chosenClass(viewer);
  return Uint32Array.from(scene.classes, ({ color }, index) => {
    const veiled = chosen !== null && index !== chosen;
    const [red, green, blue] = veiled ? veil : color;
    // The background only darkens the photo a little until the slider nears its end, where the picture
    // becomes the plain label map.
    const tint = index === BACKGROUND && chosen === null ? opacity ** 3 : opacity;
    const alpha = Math.round(255 * (veiled ? 0.65 : tint));
    return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
}

function paintLayer(layer, words) {
  const key = words.join();
  if (layer.painted === key) return;
  layer.canvas ??= Object.assign(document.createElement("canvas"), {
    width: layer.cols,
    height: layer.rows,
  });
  const image = new ImageData(layer.cols, layer.rows);
  filled(new Uint32Array(image.data.buffer), layer.runs, (label) => words[label]);
  layer.canvas.getContext("2d").putImageData(image, 0, 0);
  layer.painted = key;
}

/** The borders between labels (only those of one class, if one is chosen), in cells. */
function outlinesOf(layer, chosen) {
  if (!layer.outlines.has(chosen)) layer.outlines.set(chosen, traceOutlines(layer, chosen));
  return layer.outlines.get(chosen);
}

function traceOutlines(layer, chosen) {
  const path = new Path2D();
  const border = (a, b) => a !== b && (chosen === null || a === chosen || b === chosen);
  let row = 0;
  let above = [];
  let down = new Map(); // for each column with a border on its left, the row where that began
  for (const spans of spansByRow(layer)) {
    addBordersBetween(path, row, above, spans, border);
    const beside = new Map();
    for (let at = 1; at < spans.length; at++) {
      const col = spans[at - 1].end;
      if (border(spans[at - 1].label, spans[at].label)) beside.set(col, down.get(col) ?? row);
    }
    for (const [col, from] of down) if (!beside.has(col)) addLine(path, col, from, col, row);
    [above, down] = [spans, beside];
    row++;
  }
  for (const [col, from] of down) addLine(path, col, from, col, row);
  return path;
}

/** For each row its runs: the column where each ends, and its label. */
function* spansByRow({ runs, rows, cols }) {
  for (let row = 0, run = 0; row < rows; row++) {
    const spans = [];
    for (let end = 0; end < cols; ) {
      end = Math.min(runs.ends[run] - row * cols, cols);
      spans.push({ end, label: runs.labels[run] });
      if (runs.ends[run] <= (row + 1) * cols) run++; // else it goes on in the next row
    }
    yield spans;
  }
}

/** The borders between the spans of two rows. */
function addBordersBetween(path, row, above, below, border) {
  let col = 0;
  let began = -1;
  const end = () => began >= 0 && addLine(path, began, row, col, row);
  for (let upper = 0, lower = 0; upper < above.length; ) {
    const differs = border(above[upper].label, below[lower].label);
    if (!differs) end();
    if (differs !== began >= 0) began = differs ? col : -1;
    col = Math.min(above[upper].end, below[lower].end);
    if (above[upper].end === col) upper++;
    if (below[lower].end === col) lower++;
  }
  end();
}

function addLine(path, fromX, fromY, toX, toY) {
  path.moveTo(fromX, fromY);
  path.lineTo(toX, toY);
}

/** For each class the cell farthest from any other class: where its name has most room.
 *
 * In city blocks, by two passes over the spans of all classes but the background: with a look at
 * every pixel this took longer than all the rest of decoding.
 */
function namingSpots(layer) {
  const { labels, rows, cols } = layer;
  const away = new Uint16Array(rows * cols);
  const spots = new Map();
  const lines = [...spansByRow(layer)];
  const awayAt = (at, label) => (labels[at] === label ? away[at] : 0); // 0 beyond the photo
  lines.forEach((spans, row) => {
    for (let span = 0, at = row * cols; span < spans.length; span++) {
      const label = spans[span].label;
      const end = row * cols + spans[span].end;
      if (label === BACKGROUND) at = end;
      for (let left = 0; at < end; at++) {
        left = away[at] = Math.min(left, awayAt(at - cols, label)) + 1;
      }
    }
  });
  for (let row = rows - 1, at = labels.length - 1; row >= 0; row--) {
    const spans = lines[row];
    for (let span = spans.length - 1; span >= 0; span--) {
      const label = spans[span].label;
      const start = row * cols + (spans[span - 1]?.end ?? 0);
      if (label === BACKGROUND) at = start - 1;
      const known = spots.get(label)?.room ?? 0;
      let room = known;
      let best = 0;
      for (let right = 0; at >= start; at--) {
        right = away[at] = Math.min(away[at], Math.min(right, awayAt(at + cols, label)) + 1);
        if (right > room) [room, best] = [right, at];
      }
      if (room > known) spots.set(label, { label, row, col: best - row * cols, room });
    }
  }
  return [...spots.values()].sort((a, b) => b.room - a.room);
}

// ------------------------------------------------------------------------------- view and drawing

function wholePhoto({ photo }) {
  return { zoom: 1, x: photo.width / 2, y: photo.height / 2 };
}

/** Where the photo lies on a stage: CSS pixels per photo pixel, and its upper left corner. */
function placePhoto({ scene, view }, { width, height }) {
  const fit = Math.min(width / scene.photo.width, height / scene.photo.height);
  const scale = fit * view.zoom;
  return { fit, scale, left: width / 2 - view.x * scale, top: height / 2 - view.y * scale };
}

function settleView(viewer) {
  const { scene, view, box } = viewer;
  const { fit } = placePhoto(viewer, box);
  view.zoom = clamp(view.zoom, 1, Math.max(1, LARGEST_PIXEL / fit));
  const settle = (centre, length, room) =>
    length <= room ? length / 2 : clamp(centre, room / 2, length - room / 2);
  view.x = settle(view.x, scene.photo.width, box.width / (fit * view.zoom));
  view.y = settle(view.y, scene.photo.height, box.height / (fit * view.zoom));
}

function zoomAbout(viewer, factor, at) {
  const before = placePhoto(viewer, viewer.box);
  const fixed = { x: (at.x - before.left) / before.scale, y: (at.y - before.top) / before.scale };
  viewer.view.zoom *= factor;
  settleView(viewer);
  const after = placePhoto(viewer, viewer.box);
  viewer.view.x = fixed.x - (at.x - viewer.box.width / 2) / after.scale;
  viewer.view.y = fixed.y - (at.y - viewer.box.height / 2) / after.scale;
  settleView(viewer);
  redraw(viewer);
}

function panBy(viewer, dx, dy) {
  const { scale } = placePhoto(viewer, viewer.box);
  viewer.view.x -= dx / scale;
  viewer.view.y -= dy / scale;
  settleView(viewer);
  redraw(viewer);
}

function resetView(viewer) {
  viewer.view = wholePhoto(viewer.scene);
  redraw(viewer);
}

function redraw(viewer) {
  viewer.stale = true;
  refresh(viewer);
}

/** Once a frame at most: the pictures if they are stale, the probe's marks always. */
function refresh(viewer) {
  viewer.frame ||= requestAnimationFrame(() => {
    viewer.frame = 0;
    if (!viewer.scene) return;
    if (viewer.stale) drawPictures(viewer);
    drawProbe(viewer);
    viewer.root.dataset.photo = viewer.scene.photo.id;
    viewer.root.dataset.ready = String(viewer.received === viewer.wanted);
  });
}

function drawPictures(viewer) {
  viewer.stale = false;
  const words = overlayWords(viewer);
  for (const head of viewer.scene.heads) paintLayer(shownLayer(viewer, head), words);
  for (const stage of shownStages(viewer)) drawStage(viewer, stage);
  writeControls(viewer);
}

function shownStages({ stages, wipe }) {
  return stages.filter(({ name }) => (name === "wipe") === wipe.on);
}

function drawStage(viewer, stage) {
  const { canvas } = stage;
  const { width, height } = viewer.box;
  const ratio = window.devicePixelRatio;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  if (stage.name !== "wipe") {
    // Shrinking the photo well is slow: its own panel, drawn first, does it for all.
    const photo = stage.name === "photo" ? null : viewer.stages[0].canvas;
    drawSource(viewer, context, stage.name, { to: width, photo });
    return;
  }
  const divider = viewer.wipe.at * width;
  drawSource(viewer, context, viewer.wipe.left, { to: divider, margin: HANDLE });
  drawSource(viewer, context, viewer.wipe.right, { from: divider, to: width, margin: HANDLE });
}

function drawClipped(context, [x, y, width, height], draw) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  draw();
  context.restore();
}

/** Draw "photo" or a head ("32", "16", "8") between two columns of a stage's canvas.
 *
 * Names keep a margin to the columns. `photo` is a canvas of the same size that shows the photo already.
 */
function drawSource(viewer, context, source, { from = 0, to, margin = 0, photo = null }) {
  const place = placePhoto(viewer, viewer.box);
  const { width, height, bitmap } = viewer.scene.photo;
  const head = viewer.scene.heads.find(({ stride }) => String(stride) === source);
  drawClipped(context, [from, 0, to - from, viewer.box.height], () => {
    context.save();
    if (photo) {
      context.resetTransform();
      context.drawImage(photo, 0, 0);
      context.restore();
      context.save();
    }
    context.translate(place.left, place.top);
    context.scale(place.scale, place.scale);
    drawClipped(context, [0, 0, width, height], () => {
      context.imageSmoothingQuality = "high";
      context.imageSmoothingEnabled = place.scale < 2;
      if (!photo) context.drawImage(bitmap, 0, 0, width, height);
      if (head) drawLayer(viewer, context, shownLayer(viewer, head), place.scale);
    });
    context.restore();
    if (head)
      drawNames(viewer, context, shownLayer(viewer, head), place, [from + margin, to - margin]);
  });
}

function drawLayer(viewer, context, layer, scale) {
  const pixel = 1 / (scale * layer.stride);
  context.translate(layer.corner, layer.corner);
  context.scale(layer.stride, layer.stride);
  context.imageSmoothingEnabled = layer.stride === 1 && scale < 1;
  context.drawImage(layer.canvas, 0, 0);
  if (viewer.lattice) drawCellBorders(context, layer, pixel);
  const outlines = outlinesOf(layer, chosenClass(viewer));
  context.globalAlpha = Math.min(1, viewer.opacity / 0.3);
  context.lineCap = "square";
  strokeTwice(context, outlines, pixel);
  context.globalAlpha = 1;
}

function strokeTwice(context, path, pixel) {
  for (const [colour, width] of [
    ["rgba(0, 0, 0, 0.75)", 3],
    ["#FFFFFF", 1.5],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = width * pixel;
    context.stroke(path);
  }
}

function drawCellBorders(context, { rows, cols }, pixel) {
  context.beginPath();
  for (let row = 1; row < rows; row++) context.rect(0, row, cols, 0);
  for (let col = 1; col < cols; col++) context.rect(col, 0, 0, rows);
  // Borders that stand close together are fainter, so that the colours between them stay visible.
  context.strokeStyle = `rgba(255, 255, 255, ${clamp((1 / pixel - 2) / 30, 0, 0.45)})`;
  context.lineWidth = pixel;
  context.stroke();
}

function drawNames(viewer, context, layer, { scale, left, top }, [from, to]) {
  const { scene, box, opacity, size } = viewer;
  if (opacity === 0) return;
  const chosen = chosenClass(viewer);
  context.font = `600 ${16 * size}px ${viewer.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const taken = [];
  for (const { label, row, col, room } of layer.spots) {
    const reach = room * layer.stride * scale;
    if (reach < 6 || (chosen !== null && label !== chosen)) continue;
    const centre = (index) => (layer.corner + (index + 0.5) * layer.stride) * scale;
    const spot = { x: left + centre(col), y: top + centre(row) };
    const { name } = scene.classes[label];
    const half = context.measureText(name).width / 2 + 4;
    const slack = half + HANDLE;
    if (spot.x < from - slack || spot.x > to + slack || spot.y < 0 || spot.y > box.height) continue;
    spot.x = clamp(spot.x, from + half, Math.max(from + half, to - half));
    spot.y = clamp(spot.y, 12 * size, Math.max(12 * size, box.height - 12 * size));
    const covers = (other) =>
      Math.abs(other.x - spot.x) < other.half + half && Math.abs(other.y - spot.y) < 20 * size;
    if (taken.some(covers)) continue;
    taken.push({ ...spot, half });
    context.strokeStyle = "rgba(0, 0, 0, 0.85)";
    context.lineWidth = 4;
    context.strokeText(name, spot.x, spot.y);
    context.fillStyle = "#FFFFFF";
    context.fillText(name, spot.x, spot.y);
  }
}

// -------------------------------------------------------------------------------- probe and text

function drawProbe(viewer) {
  const { root, probe } = viewer;
  const readings = probe ? readProbe(viewer) : null;
  root.dataset.probe = probe ? `${probe.y},${probe.x}` : "";
  root.dataset.pinned = String(viewer.pinned);
  for (const stage of shownStages(viewer)) placeMarks(viewer, stage, readings);
  viewer.parts.place.replaceChildren(...placeText(viewer));
  viewer.parts.readings.forEach((part, position) =>
    writeReading(viewer, part, readings?.[position]),
  );
}

function placeText({ probe, pinned }) {
  if (!probe) {
    const hint = "Point at a picture: each net's class and probability at that pixel appear here.";
    return [textElement("small", hint)];
  }
  return [
    textElement("strong", `x ${probe.x}, y ${probe.y}`),
    textElement("small", pinned ? "pinned, Esc frees it" : "click pins it"),
  ];
}

function placeMarks(viewer, { name, marks, ring, cell, tag }, readings) {
  marks.hidden = !readings;
  if (!readings) return;
  const { probe, box, wipe } = viewer;
  const place = placePhoto(viewer, box);
  const x = place.left + (probe.x + 0.5) * place.scale;
  const y = place.top + (probe.y + 0.5) * place.scale;
  const source = name === "wipe" ? (x < wipe.at * box.width ? wipe.left : wipe.right) : name;
  const reading = readings.find(({ head }) => String(head.stride) === source);
  ring.hidden = Boolean(reading) && viewer.lattice;
  cell.hidden = !reading || !viewer.lattice;
  tag.hidden = !reading;
  placeRing(ring, place.scale, { x, y });
  if (!reading) return;
  placeCell(cell, reading, place);
  placeTag(tag, box, { x, y });
  tag.textContent = `${viewer.scene.classes[reading.index].name} ${Math.round(100 * reading.probability)}%`;
}

/** A ring around the pixel; once pixels are large enough to see, a frame. */
function placeRing(ring, scale, { x, y }) {
  const size = scale >= 14 ? scale : 22;
  ring.classList.toggle("square", scale >= 14);
  placeBox(ring, x - size / 2, y - size / 2, size);
}

function placeCell(element, { layer, cell }, { scale, left, top }) {
  const size = Math.max(8, layer.stride * scale);
  const start = (index) => (layer.corner + (index + 0.5) * layer.stride) * scale - size / 2;
  placeBox(element, left + start(cell.col), top + start(cell.row), size);
}

function placeBox(element, x, y, size) {
  Object.assign(element.style, {
    width: `${size}px`,
    height: `${size}px`,
    transform: `translate(${x}px, ${y}px)`,
  });
}

/** Beside the ring, on the side with more room, never over the stage's edge (100%: the tag's own size). */
function placeTag(tag, { width, height }, { x, y }) {
  const beside = (at, gap, room) => (at > room / 2 ? `${at - gap}px - 100%` : `${at + gap}px`);
  const within = (at, room) => `clamp(0px, ${at}, ${room}px - 100%)`;
  tag.style.transform = `translate(${within(beside(x, 18, width), width)}, ${within(beside(y, 14, height), height)})`;
}

function writeReading(viewer, part, reading) {
  const { classes } = viewer.scene;
  part.chip.style.backgroundColor = reading ? rgb(classes[reading.index].color) : "transparent";
  part.chip.hidden = !reading;
  part.name.textContent = reading ? classes[reading.index].name : "";
  part.probability.textContent = reading ? percent(reading.probability) : "";
  part.others.textContent = reading ? besideText(viewer, reading) : "";
}

/** Under the winner: the runners-up, or in the lattice which cell it is. */
function besideText({ lattice, scene }, { cell, others }) {
  if (lattice) return `cell in row ${cell.row}, column ${cell.col}`;
  const name = (index) => scene.classes[index].name;
  return others
    .map(({ index, probability }) => `${name(index)} ${percent(probability)}`)
    .join(" · ");
}

function moveProbe(viewer, probe) {
  viewer.probe = probe;
  refresh(viewer);
}

/** Bring the probe back into sight after the keyboard moved it. */
function followProbe(viewer) {
  const { view, probe, box } = viewer;
  const { scale } = placePhoto(viewer, box);
  const reach = (room) => (0.4 * room) / scale;
  const x = clamp(view.x, probe.x + 0.5 - reach(box.width), probe.x + 0.5 + reach(box.width));
  const y = clamp(view.y, probe.y + 0.5 - reach(box.height), probe.y + 0.5 + reach(box.height));
  if (x === view.x && y === view.y) return;
  Object.assign(view, { x, y });
  settleView(viewer);
  redraw(viewer);
}

function announceProbe(viewer) {
  const { classes } = viewer.scene;
  const said = readProbe(viewer).map(
    ({ head, index, probability }) => `${head.name} ${classes[index].name} ${percent(probability)}`,
  );
  viewer.parts.live.textContent = `x ${viewer.probe.x}, y ${viewer.probe.y}: ${said.join(", ")}`;
}

function writeDescriptions(viewer) {
  const { scene } = viewer;
  for (const { name, element } of viewer.stages) {
    const position = scene.heads.findIndex(({ stride }) => String(stride) === name);
    const found = scene.legend
      .map(({ index, shares }) => ({ name: scene.classes[index].name, share: shares[position] }))
      .filter(({ share }) => share >= 0.001)
      .map((row) => `${row.name} ${percent(row.share)}`);
    const what =
      { photo: "Photo", wipe: "Two pictures, wiped" }[name] ??
      `${scene.heads[position].name}: ${found.join(", ")}`;
    element.setAttribute(
      "aria-label",
      `${what}. Arrow keys move the probe; question mark lists all keys.`,
    );
  }
}

// ---------------------------------------------------------------------------------------- legend

function writeLegend(viewer) {
  const { scene, parts } = viewer;
  const small = ({ shares }) => shares.every((share) => share < 0.001);
  const few = scene.legend.filter(small);
  const shown = viewer.unfolded ? scene.legend : scene.legend.filter((row) => !small(row));
  parts.rows.replaceChildren(...shown.map((row) => legendRow(viewer, row)));
  parts.more.hidden = few.length === 0;
  parts.more.textContent = viewer.unfolded ? "fewer" : `+ ${few.length} more below 0.1%`;
  parts.more.setAttribute("aria-expanded", String(viewer.unfolded));
}

function legendRow(viewer, { index, shares }) {
  const { name, color } = viewer.scene.classes[index];
  const row = document.createElement("tr");
  row.dataset.class = String(index);
  const chip = document.createElement("span");
  chip.className = "chip";
  chip.style.backgroundColor = rgb(color);
  const button = document.createElement("button");
  button.type = "button";
  button.title = "Show this class alone";
  button.append(chip, name);
  const heading = document.createElement("th");
  heading.scope = "row";
  heading.append(button);
  row.append(heading, ...shares.map((share) => shareCell(share, color)));
  return row;
}

function shareCell(share, color) {
  const cell = document.createElement("td");
  const bar = document.createElement("span");
  bar.hidden = share < 0.0005;
  bar.className = "bar";
  bar.style.backgroundColor = rgb(color);
  bar.style.setProperty("--share", String(share));
  cell.append(textElement("span", percent(share)), bar);
  return cell;
}

function preview(viewer, index) {
  if (viewer.preview === index) return;
  viewer.preview = index;
  redraw(viewer);
}

function isolate(viewer, index) {
  viewer.isolated = index;
  viewer.preview = null;
  redraw(viewer);
}

// ------------------------------------------------------------------------- controls and elements

const ICONS = {
  overlay: '<path d="M12 3 3 8l9 5 9-5-9-5Z"/><path d="m3 13 9 5 9-5"/>',
  interpolated: '<path d="M3 19C8 19 9 5 14 5s4 6 7 6"/>',
  lattice: '<path d="M4 4h16v16H4zM4 12h16M12 4v16"/>',
  wipe: '<path d="M12 3v18M8 8l-4 4 4 4M16 8l4 4-4 4"/>',
  out: '<path d="M5 12h14"/>',
  in: '<path d="M5 12h14M12 5v14"/>',
  reset: '<path d="M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5"/>',
};

function icon(name) {
  return `<svg viewBox="0 0 24 24" aria-hidden="true">${ICONS[name]}</svg>`;
}

function tool(name, label, title, attributes = "") {
  return `<button type="button" data-tool="${name}" title="${title}" ${attributes}>${icon(name)}<span>${label}</span></button>`;
}

function iconTool(name, label, title) {
  return `<button type="button" data-tool="${name}" aria-label="${label}" title="${title}">${icon(name)}</button>`;
}

function stageHtml(name) {
  return `<div class="stage" data-panel="${name}" tabindex="0" role="application">
    <canvas></canvas>
    <div class="marks" data-role="marks" hidden>
      <div class="cell"></div><div class="ring"></div><div class="tag" data-role="tag"></div>
    </div>
    ${name === "wipe" ? DIVIDER : ""}
  </div>`;
}

function panelHtml([name, title]) {
  return `<figure><figcaption><strong>${title}</strong> <small data-count="${name}"></small></figcaption>${stageHtml(name)}</figure>`;
}

function selectHtml(side, chosen, sources) {
  const selected = (name) => (name === chosen ? "selected" : "");
  const options = sources.map(
    ([name, title]) => `<option value="${name}" ${selected(name)}>${title}</option>`,
  );
  return `<select data-side="${side}" aria-label="Picture on the ${side}">${options.join("")}</select>`;
}

function readingHtml([name, title]) {
  return `<div class="reading" data-stride="${name}">
    <div class="line"><span class="head">${title}</span><span class="chip" hidden></span><strong class="name"></strong><strong class="probability"></strong></div>
    <small class="others"></small>
  </div>`;
}

const DIVIDER = `<div class="divider" data-role="divider" role="slider" tabindex="0"
  aria-label="Wipe divider" aria-valuemin="0" aria-valuemax="100"
  title="Drag, or use the arrow keys"><span>↔</span></div>`;

const KEYS = [
  ["← ↑ → ↓", "move the probe by one pixel (Shift: ten)"],
  ["+ −", "zoom in, out (also wheel, pinch, double click)"],
  ["0", "whole photo"],
  ["Enter", "pin or free the probe (also click)"],
  ["L", "as computed, interpolated"],
  ["W", "wipe two pictures, all side by side"],
  ["Esc", "free the class, then the pin"],
];

/** What the wipe compares at first: the coarsest and the finest output, or the photo and the only one. */
function wipedAtFirst(outputs) {
  return [outputs.length > 1 ? outputs[0][0] : "photo", outputs.at(-1)[0]];
}

/** All elements, for outputs as pairs of a name in the code and a title. */
function template(outputs) {
  const sources = [["photo", "Photo"], ...outputs];
  const [left, right] = wipedAtFirst(outputs);
  return `
  <div class="toolbar" role="group" aria-label="Viewer tools">
    <label title="How strongly the classes cover the photo">${icon("overlay")}<span>Overlay</span>
      <input type="range" min="0" max="100" step="5" aria-label="Overlay opacity" data-tool="opacity"><output data-role="opacity"></output></label>
    <div class="pair" role="group" aria-label="Scores shown">
      ${tool("interpolated", "Interpolated", "The output: scores interpolated to every pixel (L)")}
      ${tool("lattice", "As computed", "The cells that each net really computes, before interpolation (L)")}
    </div>
    ${tool("wipe", "Wipe", "Compare two pictures under a divider (W)")}
    <div class="pair" role="group" aria-label="Zoom">
      ${iconTool("out", "Zoom out", "Zoom out (−)")}<output data-role="zoom"></output>${iconTool("in", "Zoom in", "Zoom in (+)")}
    </div>
    ${iconTool("reset", "Whole photo", "Whole photo (0)")}
    <button type="button" class="keys-button" data-tool="keys" aria-label="Keys" title="Keys (?)" aria-expanded="false">?</button>
    <dl class="keys" data-role="keys" hidden>${KEYS.map(([key, what]) => `<div><dt>${key}</dt><dd>${what}</dd></div>`).join("")}</dl>
  </div>
  <div class="panels">${sources.map(panelHtml).join("")}</div>
  <div class="wipe" hidden>
    <div class="sides">${selectHtml("left", left, sources)}<small data-role="wipe-counts"></small>${selectHtml("right", right, sources)}</div>
    ${stageHtml("wipe")}
  </div>
  <div class="readout" data-role="readout">
    <div class="place"></div>${outputs.map(readingHtml).join("")}
  </div>
  <div class="found" data-role="found">
    <table class="legend" data-role="legend">
      <thead><tr><th scope="col">Share of the photo</th>${outputs
        .map(([, title]) => `<th scope="col">${title}</th>`)
        .join("")}</tr></thead>
      <tbody></tbody>
    </table>
    <button type="button" class="more" data-tool="more" hidden></button>
  </div>
  <div class="unseen" aria-live="polite" data-role="live"></div>`;
}

function createViewer(root, sources) {
  root.innerHTML = template(sources);
  root.style.setProperty("--panels", 1 + sources.length);
  const [left, right] = wipedAtFirst(sources);
  const find = (selector) => root.querySelector(selector);
  const viewer = {
    root,
    sources, // the outputs as pairs: stride, name
    wanted: null, // the id of the newest result, and of the one on show
    received: null,
    scene: null,
    shown: null, // the id of the photo that probe and view belong to
    font: "",
    ground: "",
    view: null,
    probe: null,
    pinned: false,
    lattice: false,
    opacity: 0.6,
    isolated: null,
    preview: null,
    unfolded: false,
    wipe: { on: false, left, right, at: 0.5 },
    box: { width: 1, height: 1 },
    top: 0,
    size: 1,
    stale: true,
    frame: 0,
    lastPageWheel: 0,
    listeners: new AbortController(),
    stages: [...root.querySelectorAll(".stage")].map(stageParts),
    parts: {
      place: find(".place"),
      readout: find(".readout"),
      readings: [...root.querySelectorAll(".reading")].map(readingParts),
      found: find(".found"),
      head: find("thead"),
      rows: find("tbody"),
      more: find(".more"),
      live: find('[data-role="live"]'),
      panels: find(".panels"),
      wipe: find(".wipe"),
      divider: find('[data-role="divider"]'),
      keys: find('[data-role="keys"]'),
      opacity: find('[data-role="opacity"]'),
      zoom: find('[data-role="zoom"]'),
      wipeCounts: find('[data-role="wipe-counts"]'),
      slider: find('[data-tool="opacity"]'),
    },
  };
  viewer.observer = new ResizeObserver(() => layOut(viewer));
  viewer.observer.observe(root);
  viewer.above = new ResizeObserver(() => layOutIfMoved(viewer));
  const page = root.getRootNode().host?.closest('[data-testid="stMainBlockContainer"]');
  if (page) viewer.above.observe(page);
  attachListeners(viewer);
  return viewer;
}

function stageParts(element) {
  const find = (selector) => element.querySelector(selector);
  return {
    element,
    name: element.dataset.panel,
    canvas: find("canvas"),
    marks: find(".marks"),
    ring: find(".ring"),
    cell: find(".cell"),
    tag: find(".tag"),
  };
}

function readingParts(element) {
  const find = (selector) => element.querySelector(selector);
  return {
    chip: find(".chip"),
    name: find(".name"),
    probability: find(".probability"),
    others: find(".others"),
  };
}

function readTheme(viewer) {
  const style = getComputedStyle(viewer.root);
  const ground = style.getPropertyValue("--st-background-color").trim() || "#FFFFFF";
  if (viewer.font === style.fontFamily && viewer.ground === ground) return;
  Object.assign(viewer, { font: style.fontFamily, ground });
  // Any CSS colour becomes numbers by drawing it.
  const context = Object.assign(document.createElement("canvas"), {
    width: 1,
    height: 1,
  }).getContext("2d");
  context.fillStyle = ground;
  context.fillRect(0, 0, 1, 1);
  viewer.veil = [...context.getImageData(0, 0, 1, 1).data.slice(0, 3)];
  viewer.root.dataset.theme =
    viewer.veil[0] + viewer.veil[1] + viewer.veil[2] < 384 ? "dark" : "light";
  redraw(viewer);
}

/** How many panels share a row: wide photos get fewer, phones two. */
function columnsFor(width, aspect, panels) {
  if (aspect > 7) return 1;
  if (width < NARROW) return aspect > 3 ? 1 : 2;
  return aspect > 2.6 ? Math.min(2, panels) : panels;
}

function layOut(viewer) {
  const { root, scene, parts, wipe } = viewer;
  const total = root.clientWidth;
  if (!scene || !total) return;
  const aspect = scene.photo.width / scene.photo.height;
  const panels = 1 + viewer.sources.length;
  const columns = wipe.on ? 1 : columnsFor(total, aspect, panels);
  const narrow = total < NARROW;
  viewer.size = clamp(total / 1216, 1, 1.4);
  // Panels one below the other have their titles on the left: less high.
  const captions = columns === 1 && !narrow && !wipe.on ? SIDE_CAPTION * viewer.size : 0;
  root.dataset.narrow = String(narrow);
  root.dataset.captions = captions ? "side" : "top";
  parts.panels.hidden = wipe.on;
  parts.wipe.hidden = !wipe.on;
  setLengths(root, { "--columns": columns, "--size": viewer.size });
  setLengths(root, { "--column": `${(total - (panels - 1) * GAP) / panels}px` });
  const room = (total - GAP * (columns - 1)) / columns - captions;
  const share = clamp((wipe.on ? 0.52 : 0.6) * window.innerHeight, 240, 900);
  const highest = columns === panels && !narrow ? Math.min(share, roomAboveLegend(viewer)) : share;
  const height = clamp(room / aspect, Math.min(80, room), highest);
  const width = wipe.on ? clamp(height * aspect, Math.min(320, room), room) : room;
  viewer.box = { width, height };
  viewer.top = Math.round(topInPage(root));
  setLengths(root, { "--stage-width": `${width}px`, "--stage-height": `${height}px` });
  fitLegend(viewer, narrow);
  settleView(viewer);
  redraw(viewer);
}

/** A message above the pictures takes some of the room that they have. */
function layOutIfMoved(viewer) {
  if (viewer.scene && viewer.top !== Math.round(topInPage(viewer.root))) layOut(viewer);
}

function setLengths(root, lengths) {
  for (const [name, value] of Object.entries(lengths)) root.style.setProperty(name, value);
}

/** How high the pictures may be for the legend's first two classes to be seen without scrolling. */
function roomAboveLegend({ parts }) {
  const { panels, readout, head } = parts;
  const title = panels.querySelector("figcaption").offsetHeight;
  const below = readout.offsetHeight + head.offsetHeight + LEAST_ROWS * rowHeight(parts);
  const room = window.innerHeight - topInPage(panels) - title - below - PAGE_MARGIN;
  return Math.max(200, room - 3 * 8); // the margins of the parts in between
}

/** A long legend scrolls in its own box, which ends with the window if that leaves room for some. */
function fitLegend(viewer, narrow) {
  const { found, head } = viewer.parts;
  const row = rowHeight(viewer.parts);
  const room = window.innerHeight - topInPage(found) - PAGE_MARGIN;
  const rows = Math.floor((room - head.offsetHeight) / row - 0.5) + 0.5;
  const height = head.offsetHeight + Math.max(rows, LEAST_ROWS) * row;
  const fits = narrow || found.scrollHeight <= Math.max(room, height);
  found.style.maxHeight = fits ? "none" : `${height}px`;
}

function rowHeight({ rows }) {
  return rows.firstElementChild?.offsetHeight ?? 0;
}

/** How far below the top of the page an element begins, wherever the page is scrolled to. */
function topInPage(element) {
  let { top } = element.getBoundingClientRect();
  for (let node = element.parentNode; node; node = node.parentNode ?? node.host) {
    top += node.scrollTop ?? 0;
  }
  return top;
}

function writeControls(viewer) {
  const { root, parts, view, wipe, lattice, opacity, scene } = viewer;
  const chosen = chosenClass(viewer);
  root.dataset.zoom = view.zoom.toFixed(2);
  root.dataset.isolated = chosen === null ? "" : String(chosen);
  const pressed = { interpolated: !lattice, lattice, wipe: wipe.on };
  for (const [name, state] of Object.entries(pressed)) {
    root.querySelector(`[data-tool="${name}"]`).setAttribute("aria-pressed", String(state));
  }
  parts.slider.value = String(Math.round(100 * opacity));
  parts.opacity.textContent = `${Math.round(100 * opacity)}%`;
  parts.zoom.textContent = `${view.zoom < 10 ? view.zoom.toFixed(1) : Math.round(view.zoom)}×`;
  root.querySelector('[data-tool="out"]').disabled = view.zoom <= 1;
  root.querySelector('[data-tool="reset"]').disabled = view.zoom <= 1;
  for (const { element } of viewer.stages) element.classList.toggle("zoomed", view.zoom > 1);
  for (const head of scene.heads)
    root.querySelector(`[data-count="${head.stride}"]`).textContent = countText(viewer, head);
  root.querySelector('[data-count="photo"]').textContent =
    `${scene.photo.width} × ${scene.photo.height}`;
  for (const row of parts.rows.children) {
    const index = Number(row.dataset.class);
    row.classList.toggle("chosen", index === chosen);
    row.querySelector("button").setAttribute("aria-pressed", String(index === viewer.isolated));
  }
  writeWipe(viewer);
}

function countText({ lattice }, { cells }) {
  return lattice ? `${cells.cols} × ${cells.rows} = ${cells.cols * cells.rows} cells` : "";
}

function writeWipe(viewer) {
  const { wipe, parts, scene } = viewer;
  parts.divider.style.left = `${100 * wipe.at}%`;
  parts.divider.setAttribute("aria-valuenow", String(Math.round(100 * wipe.at)));
  const counts = [wipe.left, wipe.right]
    .map((source) => scene.heads.find(({ stride }) => String(stride) === source))
    .map((head) => (head ? countText(viewer, head) : ""));
  parts.wipeCounts.textContent = counts.some(Boolean)
    ? counts.map((text) => text || "photo").join(" | ")
    : "";
}

// ----------------------------------------------------------------------------------------- input

function attachListeners(viewer) {
  const { root, parts } = viewer;
  const listen = (target, type, handler, options = {}) =>
    target.addEventListener(type, handler, { ...options, signal: viewer.listeners.signal });
  for (const stage of viewer.stages) attachPointer(viewer, stage, listen);
  attachDivider(viewer, listen);
  listen(window, "resize", () => layOut(viewer));
  listen(window, "wheel", (event) => notePageWheel(viewer, event), {
    capture: true,
    passive: true,
  });
  listen(root, "keydown", (event) => onKey(viewer, event));
  listen(root, "click", (event) =>
    onTool(viewer, event.target.closest("[data-tool]")?.dataset.tool),
  );
  listen(parts.slider, "input", () => {
    viewer.opacity = Number(parts.slider.value) / 100;
    redraw(viewer);
  });
  for (const select of root.querySelectorAll("select")) {
    listen(select, "change", () => {
      viewer.wipe[select.dataset.side] = select.value;
      redraw(viewer);
    });
  }
  const classOf = (event) => {
    const row = event.target.closest("[data-class]");
    return row ? Number(row.dataset.class) : null;
  };
  listen(
    parts.rows,
    "pointerover",
    (event) => event.pointerType !== "touch" && preview(viewer, classOf(event)),
  );
  listen(parts.rows, "pointerleave", () => preview(viewer, null));
  listen(parts.rows, "click", (event) => {
    const index = classOf(event);
    isolate(viewer, index === viewer.isolated ? null : index);
  });
}

function attachPointer(viewer, { element }, listen) {
  const down = new Map();
  let travelled = 0;
  const at = (event) => {
    const { left, top } = element.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  listen(element, "pointerdown", (event) => {
    if (event.button !== 0 || !viewer.scene || event.target.closest('[data-role="divider"]'))
      return;
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    if (down.size === 1) travelled = 0;
    if (event.pointerType === "touch" && down.size === 1) probeAt(viewer, at(event));
  });
  listen(element, "pointermove", (event) => {
    if (!viewer.scene || event.target.closest('[data-role="divider"]')) return;
    const now = at(event);
    const before = down.get(event.pointerId);
    if (!before) {
      if (!viewer.pinned) probeAt(viewer, now);
      return;
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (down.size === 2) pinch(viewer, down, event.pointerId, now);
    else if (viewer.view.zoom > 1 && travelled > CLICK_SLOP)
      panBy(viewer, now.x - before.x, now.y - before.y);
    else if (!viewer.pinned) probeAt(viewer, now);
    down.set(event.pointerId, now);
  });
  const release = (event) => {
    const known = down.delete(event.pointerId);
    const clicked = event.type === "pointerup" && known && travelled <= CLICK_SLOP;
    if (clicked && event.pointerType !== "touch") togglePin(viewer, at(event));
  };
  listen(element, "pointerup", release);
  listen(element, "pointercancel", release);
  listen(element, "dblclick", (event) => zoomAbout(viewer, event.shiftKey ? 0.5 : 2, at(event)));
  listen(element, "wheel", (event) => onWheel(viewer, event, at(event)), { passive: false });
}

function pinch(viewer, down, id, now) {
  const [other] = [...down].filter(([key]) => key !== id).map(([, point]) => point);
  const before = down.get(id);
  const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
  panBy(viewer, (now.x - before.x) / 2, (now.y - before.y) / 2);
  zoomAbout(viewer, distance(now) / distance(before), {
    x: (now.x + other.x) / 2,
    y: (now.y + other.y) / 2,
  });
}

/** The photo's pixel under a point of a stage, or null beside the photo. */
function pixelAt(viewer, { x, y }) {
  const { scale, left, top } = placePhoto(viewer, viewer.box);
  const pixel = { x: Math.floor((x - left) / scale), y: Math.floor((y - top) / scale) };
  const { width, height } = viewer.scene.photo;
  return pixel.x >= 0 && pixel.y >= 0 && pixel.x < width && pixel.y < height ? pixel : null;
}

function probeAt(viewer, point) {
  const pixel = pixelAt(viewer, point);
  if (pixel) moveProbe(viewer, pixel);
}

function togglePin(viewer, point) {
  viewer.pinned = !viewer.pinned;
  probeAt(viewer, point);
  refresh(viewer);
}

/** A wheel gesture that began outside the stages scrolls the page on, even over a stage. */
function notePageWheel(viewer, event) {
  const overStage = event.composedPath().some((node) => node.classList?.contains("stage"));
  if (!overStage) viewer.lastPageWheel = event.timeStamp;
}

function onWheel(viewer, event, point) {
  const scrollingPage = event.timeStamp - viewer.lastPageWheel < 300 && !event.ctrlKey;
  const nothingToZoom = event.deltaY >= 0 && viewer.view.zoom <= 1;
  if (scrollingPage || nothingToZoom) {
    viewer.lastPageWheel = event.timeStamp;
    // Ctrl + wheel is also what a trackpad's pinch sends: never zoom the page from here.
    if (event.ctrlKey) event.preventDefault();
    return;
  }
  event.preventDefault();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : 33;
  const step = clamp(event.deltaY * lines, -200, 200) * (event.ctrlKey ? 5 : 1);
  zoomAbout(viewer, Math.exp(-step / 400), point);
}

function attachDivider(viewer, listen) {
  const { divider } = viewer.parts;
  const stage = divider.parentElement;
  const moveTo = (fraction) => {
    viewer.wipe.at = clamp(fraction, 0, 1);
    redraw(viewer);
  };
  listen(divider, "pointerdown", (event) => {
    divider.setPointerCapture(event.pointerId);
    event.stopPropagation();
  });
  listen(divider, "pointermove", (event) => {
    if (!divider.hasPointerCapture(event.pointerId)) return;
    const { left, width } = stage.getBoundingClientRect();
    moveTo((event.clientX - left) / width);
  });
  listen(divider, "dblclick", (event) => event.stopPropagation());
  listen(divider, "keydown", (event) => {
    const step = event.shiftKey ? 0.1 : 0.02;
    const target = {
      ArrowLeft: viewer.wipe.at - step,
      ArrowRight: viewer.wipe.at + step,
      ArrowDown: viewer.wipe.at - step,
      ArrowUp: viewer.wipe.at + step,
      Home: 0,
      End: 1,
    }[event.key];
    if (target === undefined) return;
    moveTo(target);
    take(event);
  });
}

/** Streamlit listens for letters on the page: a key that meant something here stays here. */
function take(event) {
  event.preventDefault();
  event.stopPropagation();
}

function onKey(viewer, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !viewer.scene) return;
  const onStage = event.target.classList.contains("stage");
  if (event.key === "Escape" ? onEscape(viewer) : onStage && onStageKey(viewer, event)) take(event);
}

function onEscape(viewer) {
  if (!viewer.parts.keys.hidden) showKeys(viewer, false);
  else if (chosenClass(viewer) !== null) isolate(viewer, null);
  else if (viewer.pinned) viewer.pinned = false;
  else return false;
  refresh(viewer);
  return true;
}

function onStageKey(viewer, { key, shiftKey }) {
  const arrow = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[
    key
  ];
  if (arrow) {
    stepProbe(viewer, arrow, shiftKey ? 10 : 1);
    return true;
  }
  const tools = {
    "+": "in",
    "=": "in",
    "-": "out",
    0: "reset",
    l: "lattice-toggle",
    w: "wipe",
    "?": "keys",
    Enter: "pin",
  };
  return onTool(viewer, tools[key] ?? tools[key.toLowerCase()]);
}

function stepProbe(viewer, [dy, dx], step) {
  const { width, height } = viewer.scene.photo;
  const from = viewer.probe ?? { y: Math.round(viewer.view.y), x: Math.round(viewer.view.x) };
  moveProbe(viewer, {
    y: clamp(from.y + dy * step, 0, height - 1),
    x: clamp(from.x + dx * step, 0, width - 1),
  });
  followProbe(viewer);
  announceProbe(viewer);
}

/** Where zooming by key or button aims: the probe if there is one, else the middle of the stage. */
function zoomTarget(viewer) {
  const { probe, box } = viewer;
  const { scale, left, top } = placePhoto(viewer, box);
  const point = probe && { x: left + (probe.x + 0.5) * scale, y: top + (probe.y + 0.5) * scale };
  const seen =
    point && point.x >= 0 && point.y >= 0 && point.x <= box.width && point.y <= box.height;
  return seen ? point : { x: box.width / 2, y: box.height / 2 };
}

function onTool(viewer, name) {
  const actions = {
    in: () => zoomAbout(viewer, 1.5, zoomTarget(viewer)),
    out: () => zoomAbout(viewer, 1 / 1.5, zoomTarget(viewer)),
    reset: () => resetView(viewer),
    interpolated: () => showLattice(viewer, false),
    lattice: () => showLattice(viewer, true),
    "lattice-toggle": () => showLattice(viewer, !viewer.lattice),
    wipe: () => showWipe(viewer, !viewer.wipe.on),
    keys: () => showKeys(viewer, viewer.parts.keys.hidden),
    more: () => unfoldLegend(viewer),
    pin: () => pinByKey(viewer),
  };
  if (!viewer.scene || !Object.hasOwn(actions, name ?? "")) return false;
  actions[name]();
  return true;
}

function showLattice(viewer, lattice) {
  viewer.lattice = lattice;
  redraw(viewer);
}

/** The focus moves along, so that the keys go on working. */
function showWipe(viewer, on) {
  const focused = viewer.stages.some(({ element }) => element.matches(":focus"));
  viewer.wipe.on = on;
  layOut(viewer);
  if (focused) shownStages(viewer)[0].element.focus();
}

function showKeys(viewer, shown) {
  viewer.parts.keys.hidden = !shown;
  viewer.root.querySelector('[data-tool="keys"]').setAttribute("aria-expanded", String(shown));
}

function unfoldLegend(viewer) {
  viewer.unfolded = !viewer.unfolded;
  writeLegend(viewer);
  layOut(viewer);
}

function pinByKey(viewer) {
  viewer.pinned = !viewer.pinned && viewer.probe !== null;
  refresh(viewer);
}

// --------------------------------------------------------------------------------------- helpers

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function percent(share) {
  if (share === 0) return "–";
  if (share < 0.0005) return "<0.1%";
  if (share >= 0.9995 && share < 1) return ">99.9%";
  return `${(100 * share).toFixed(1)}%`;
}

function rgb([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`;
}

function textElement(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: text });
}
