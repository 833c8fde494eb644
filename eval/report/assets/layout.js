// What a timeline shows and where: the rows of its classes, and strips one below the other.

const MOST_CLASSES = 6;
const SIZES = { truth: 16, detections: 56, activation: 26, attention: 40, gap: 3, group: 12, axis: 22, heading: 19 };
const LABELS = 184; // pixels to the left of the plot
const NARROW = 560; // below this width the labels stand above the strips

// The classes of a video with their segments and curve: annotated ones first, then by best score.
function classRows(view, v) {
  const { model, match } = view;
  const rows = new Map();
  const row = (label) => {
    if (!rows.has(label)) rows.set(label, { label, instances: [], detections: [], total: 0, curve: -1 });
    return rows.get(label);
  };
  const wanted = (label) => view.label < 0 || label === view.label;
  const { instances, detections, curves } = model;
  for (let g = instances.first[v]; g < instances.first[v + 1]; g++) {
    if (wanted(instances.label[g])) row(instances.label[g]).instances.push(g);
  }
  for (let d = detections.first[v]; d < detections.first[v + 1] && detections.score[d] >= view.score; d++) {
    if (!wanted(detections.label[d])) continue;
    const own = row(detections.label[d]);
    own.total++;
    if (!view.hidden.has(match.kind[d])) own.detections.push(d);
  }
  const found = [...rows.values()];
  const shown = found.slice(0, MOST_CLASSES);
  const attention = [];
  if (curves) {
    for (let c = curves.first[v]; c < curves.first[v + 1]; c++) {
      if (curves.kind[c] < 0) attention.push(c);
      else shown.forEach((one) => { if (one.label === curves.kind[c]) one.curve = c; });
    }
  }
  return { rows: shown, more: found.length - shown.length, attention };
}

// Strips from top to bottom with their labels; all sizes in pixels.
function layOut(view, { rows, more, attention }, width) {
  const narrow = width < NARROW;
  const left = narrow ? 0 : LABELS;
  const strips = [], labels = [];
  let y = 0;
  const strip = (kind, row, height) => {
    strips.push({ kind, row, top: y, height });
    y += height + SIZES.gap;
  };
  for (const row of rows) {
    const name = view.model.classes[row.label];
    const found = row.instances.filter((g) => isFound(view.model, view.match, g, view.score)).length;
    const instances = row.instances.length ? `${found} of ${row.instances.length} found` : "not annotated";
    const number = plural(row.total, "detection");
    if (narrow) {
      labels.push({ top: y, text: name, strong: true, after: `${instances} · ${number}` });
      y += SIZES.heading;
    } else {
      labels.push({ top: y, text: name, strong: true, wide: row.instances.length > 0 });
      const below = row.instances.length ? y + SIZES.truth + SIZES.gap : y + 18;
      labels.push({ top: below, text: instances }, { top: below + 17, text: number });
    }
    if (row.instances.length) strip("truth", row, SIZES.truth);
    strip("detections", row, SIZES.detections);
    if (row.curve >= 0) {
      if (!narrow) labels.push({ top: y + 5, text: "activation" });
      strip("activation", row, SIZES.activation);
    }
    y += SIZES.group;
  }
  if (!rows.length) {
    strips.push({ kind: "empty", row: null, top: y, height: 30 });
    y += 30 + SIZES.gap;
  }
  if (more) {
    labels.push({ top: y - 8, text: `and ${plural(more, "more class").replace("classs", "classes")} with lower scores`, free: true });
    y += 14;
  }
  if (attention.length) {
    if (narrow) {
      labels.push({ top: y, text: "attention" });
      y += SIZES.heading - 3;
    } else labels.push({ top: y + 11, text: "attention" });
    strip("attention", null, SIZES.attention);
  }
  if (!narrow) labels.push({ top: y + 3, text: "seconds" });
  return { strips, labels, narrow, left, plotWidth: Math.max(60, width - left), axis: y, height: y + SIZES.axis };
}
