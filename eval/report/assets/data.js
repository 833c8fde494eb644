// The data of the page: unpacks what eval/report/page_data.py documents, and answers questions
// about it. Detections, instances and curves are numbered over all videos; those of video v are
// first[v] to first[v + 1] - 1.

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i2: Int16Array, i4: Int32Array, f4: Float32Array };
const TRUE_POSITIVE = 0, DUPLICATE = 1, LOCALIZATION = 2, WRONG_CLASS = 3, BACKGROUND = 4;
const NOT_FOUND = -1, NOT_SHOWN = -2;

function unpacked(value) {
  if (Array.isArray(value) || value === null || typeof value !== "object") return value;
  if (typeof value.data === "string" && ARRAYS[value.type]) {
    const text = atob(value.data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new ARRAYS[value.type](bytes.buffer);
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, unpacked(part)]));
}

// Start of each group, and the end of the last one.
function starts(counts) {
  const first = new Uint32Array(counts.length + 1);
  for (let i = 0; i < counts.length; i++) first[i + 1] = first[i] + counts[i];
  return first;
}

function readModel(value) {
  const model = unpacked(value);
  model.number = model.videos.names.length;
  for (const table of [model.pairs, model.instances, model.detections]) table.first = starts(table.count);
  if (model.curves) {
    const curves = model.curves;
    curves.first = starts(curves.count);
    const sizes = new Uint32Array(curves.kind.length);
    for (let v = 0; v < model.number; v++) sizes.fill(curves.points[v], curves.first[v], curves.first[v + 1]);
    curves.begin = starts(sizes);
  }
  model.lowerNames = model.videos.names.map((name) => name.normalize("NFC").toLowerCase());
  model.sortedScores = model.detections.score.slice().sort();
  model.ends = new Float64Array(model.number);
  for (let v = 0; v < model.number; v++) model.ends[v] = endOf(model, v);
  return model;
}

// End of the time axis of a video: everything that is drawn lies before it.
function endOf(model, v) {
  let end = model.videos.seconds[v];
  for (const table of [model.instances, model.detections]) {
    for (let i = table.first[v]; i < table.first[v + 1]; i++) {
      if (Number.isFinite(table.end[i]) && table.end[i] > end) end = table.end[i];
    }
  }
  return end > 0 ? end : 1;
}

// What every detection is at threshold k, and the instance it takes (-1 if none); the first kind
// that applies counts, as in the error analysis.
function matchAt(model, k) {
  const { level, overlap } = model.detections;
  const holder = model.instances.holder, total = model.instances.start.length;
  const taken = new Int32Array(level.length).fill(-1);
  const holders = holder.subarray(k * total, (k + 1) * total);
  holders.forEach((d, g) => { if (d >= 0) taken[d] = g; });
  const kind = new Uint8Array(level.length);
  for (let d = 0; d < level.length; d++) {
    if (taken[d] >= 0) kind[d] = TRUE_POSITIVE;
    else if (level[d] > k) kind[d] = DUPLICATE;
    else if (overlap[d] & 1) kind[d] = LOCALIZATION;
    else kind[d] = overlap[d] & 2 ? WRONG_CLASS : BACKGROUND;
  }
  return { kind, taken, holders };
}

// Average precision of a video in percent: the mean over its classes, or that of one class; NaN if
// none is annotated. `column` is the index of a threshold, or their number for the main average.
function precisionOf(model, v, column, label) {
  const { first, precision } = model.pairs, width = model.tiou.length + 1;
  let sum = 0, count = 0;
  for (let p = first[v]; p < first[v + 1]; p++) {
    if (label >= 0 && model.pairs.label[p] !== label) continue;
    sum += precision[p * width + column];
    count++;
  }
  return count ? sum / count : NaN;
}

// Numbers of a video among the detections of one class (all if negative) and at least this score.
function countVideo(model, match, v, label, score) {
  const { instances, detections } = model;
  const kinds = [0, 0, 0, 0, 0];
  let shown = 0;
  for (let d = detections.first[v]; d < detections.first[v + 1] && detections.score[d] >= score; d++) {
    if (label >= 0 && detections.label[d] !== label) continue;
    kinds[match.kind[d]]++;
    shown++;
  }
  let total = 0, found = 0;
  for (let g = instances.first[v]; g < instances.first[v + 1]; g++) {
    if (label >= 0 && instances.label[g] !== label) continue;
    total++;
    if (isFound(model, match, g, score)) found++;
  }
  return { kinds, shown, total, found };
}

// Whether a detection of at least this score takes the instance.
function isFound(model, match, g, score) {
  const d = match.holders[g];
  return d >= 0 ? model.detections.score[d] >= score : d === NOT_SHOWN && score === -Infinity;
}

// tIoU of two time intervals.
function overlapOf(start, end, otherStart, otherEnd) {
  const inside = Math.max(0, Math.min(end, otherEnd) - Math.max(start, otherStart));
  const union = otherEnd - otherStart + (end - start) - inside;
  return union > 0 ? inside / union : 0;
}

// The instance that a detection overlaps most: of its class, or of the others.
function nearestInstance(model, v, d, ownClass) {
  const { instances, detections } = model;
  let best = -1, most = 0;
  for (let g = instances.first[v]; g < instances.first[v + 1]; g++) {
    if ((instances.label[g] === detections.label[d]) !== ownClass) continue;
    const tiou = overlapOf(detections.start[d], detections.end[d], instances.start[g], instances.end[g]);
    if (tiou > most) { most = tiou; best = g; }
  }
  return { instance: best, tiou: most };
}

// Values of a curve, of its own range.
function curveValues(model, c, points) {
  const { begin, low, high, values } = model.curves;
  const result = new Float64Array(points), scale = (high[c] - low[c]) / 255;
  for (let i = 0; i < points; i++) result[i] = low[c] + scale * values[begin[c] + i];
  return result;
}
