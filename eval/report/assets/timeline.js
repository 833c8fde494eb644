// Draws the timeline of a card: a card is {v, from, to, selected, ...} with its elements.

const TICKS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000];
const BAR = 5; // pixels, height of a detection
const ATTENTIONS = { "-1": "instance", "-2": "context", "-3": "background" };

function drawTimeline(view, card) {
  const width = onPaper ? PAPER_WIDTH : card.timeline.clientWidth;
  if (!width) return;
  card.content = classRows(view, card.v);
  card.layout = layOut(view, card.content, width);
  const { layout } = card;
  card.timeline.style.height = `${layout.height}px`;
  card.timeline.classList.toggle("narrow", layout.narrow);
  card.plot.setAttribute("width", layout.plotWidth);
  card.plot.setAttribute("height", layout.height);
  const parts = document.createDocumentFragment();
  for (const strip of layout.strips) {
    if (strip.kind !== "truth" && strip.kind !== "empty") {
      parts.append(shape("rect", { class: "strip", x: 0, y: strip.top, width: layout.plotWidth, height: strip.height, rx: 2 }));
    }
  }
  drawAxis(card, parts);
  for (const strip of layout.strips) DRAW[strip.kind](view, card, strip, parts);
  card.marks = shape("g");
  card.cursor = shape("line", { class: "cursor", y1: 0, y2: layout.axis, visibility: "hidden" });
  card.playhead = shape("line", { class: "playhead", y1: 0, y2: layout.axis, visibility: "hidden" });
  parts.append(card.marks, card.cursor, card.playhead);
  card.plot.replaceChildren(parts);
  drawLabels(view, card);
  drawMarks(view, card);
  card.drawn = true;
}

const xOf = (card, time) => ((time - card.from) / (card.to - card.from)) * card.layout.plotWidth;
const timeAt = (card, x) => card.from + (x / card.layout.plotWidth) * (card.to - card.from);

function drawAxis(card, parts) {
  const { axis, plotWidth } = card.layout, span = card.to - card.from;
  const step = TICKS.find((one) => (one / span) * plotWidth >= 62) || TICKS[TICKS.length - 1];
  parts.append(shape("line", { class: "axis", x1: 0, x2: plotWidth, y1: axis + 0.5, y2: axis + 0.5 }));
  for (let i = Math.ceil(card.from / step - 1e-9); i * step <= card.to * (1 + 1e-12); i++) {
    const x = xOf(card, i * step);
    parts.append(shape("line", { class: "grid", x1: x, x2: x, y1: 0, y2: axis + 4 }));
    const anchor = x < 12 ? "start" : x > plotWidth - 18 ? "end" : "middle";
    const unit = card.layout.narrow ? " s" : "";
    parts.append(shape("text", { x, y: axis + 17, "text-anchor": anchor }, `${Number((i * step).toPrecision(10))}${unit}`));
  }
}

const DRAW = {
  truth(view, card, strip, parts) {
    const { model, match } = view;
    for (const g of strip.row.instances) {
      const bar = barOf(card, model.instances.start[g], model.instances.end[g], strip.top + 2, strip.height - 4);
      if (!bar) continue;
      bar.setAttribute("class", isFound(model, match, g, view.score) ? "truth" : "truth missed");
      parts.append(bar);
    }
  },
  detections(view, card, strip, parts) {
    const { detections } = view.model;
    drawShades(view, card, strip, parts);
    for (let i = strip.row.detections.length - 1; i >= 0; i--) { // the best one on top
      const d = strip.row.detections[i];
      const bar = barOf(card, detections.start[d], detections.end[d], heightOf(view, card, strip, d), BAR);
      if (!bar) continue;
      bar.setAttribute("class", `d${view.match.kind[d]}`);
      bar.setAttribute("rx", 1.5);
      parts.append(bar);
    }
  },
  activation(view, card, strip, parts) {
    drawShades(view, card, strip, parts);
    drawCurve(view, card, strip, strip.row.curve, activationRange(view, card), "activation", true, parts);
  },
  attention(view, card, strip, parts) {
    const range = attentionRange(view, card);
    for (const c of [...card.content.attention].reverse()) {
      const kind = ATTENTIONS[view.model.curves.kind[c]];
      drawCurve(view, card, strip, c, range, kind, kind === "instance", parts);
    }
  },
  empty(view, card, strip, parts) {
    const text = view.score > -Infinity ? "no instance, and no detection of this score" : "no instance, no detection";
    parts.append(shape("text", { x: 8, y: strip.top + 19 }, text));
  },
};

// A bar between two times, at least 1.5 pixels wide; nothing outside the window or for an interval
// that ends before it starts.
function barOf(card, start, end, y, height) {
  if (!(end >= start) || end < card.from || start > card.to) return null;
  const x = xOf(card, start);
  return shape("rect", { x, y, width: Math.max(1.5, xOf(card, end) - x), height });
}

function drawShades(view, card, strip, parts) {
  for (const g of strip.row.instances) {
    const bar = barOf(card, view.model.instances.start[g], view.model.instances.end[g], strip.top, strip.height);
    if (!bar) continue;
    bar.setAttribute("class", "shade");
    parts.append(bar);
  }
}

// Lowest and highest score of the axis: 0 or below, and the best score of the video.
function scoreRange(view, card) {
  const { first, score } = view.model.detections, begin = first[card.v], end = first[card.v + 1];
  if (end <= begin) return [0, 1];
  const low = Math.min(0, score[end - 1]), high = Math.max(score[begin], 0);
  return high > low ? [low, high] : [low - 1, high];
}

// Upper edge of the bar of a detection.
function heightOf(view, card, strip, d) {
  const [low, high] = scoreRange(view, card);
  const share = (view.model.detections.score[d] - low) / (high - low);
  return strip.top + 2 + (1 - Math.min(1, Math.max(0, share))) * (strip.height - 4 - BAR);
}

function activationRange(view, card) {
  const { curves } = view.model;
  let low = 0, high = 1e-6;
  for (let c = curves.first[card.v]; c < curves.first[card.v + 1]; c++) {
    if (curves.kind[c] < 0) continue;
    low = Math.min(low, curves.low[c]);
    high = Math.max(high, curves.high[c]);
  }
  return [low, high];
}

function attentionRange(view, card) {
  const { low, high } = view.model.curves;
  return [Math.min(0, ...card.content.attention.map((c) => low[c])), Math.max(1, ...card.content.attention.map((c) => high[c]))];
}

// A curve whose values lie at the starts of their snippets; the last one is held to the end.
function drawCurve(view, card, strip, c, [low, high], name, filled, parts) {
  const points = view.model.curves.points[card.v];
  const values = curveValues(view.model, c, points);
  const step = view.model.videos.seconds[card.v] / points;
  const bottom = strip.top + strip.height - 1, scale = (strip.height - 3) / (high - low);
  const begin = Math.max(0, Math.floor(card.from / step) - 1), end = Math.min(points, Math.ceil(card.to / step) + 1);
  const line = [];
  for (let i = begin; i <= end; i++) {
    const value = values[Math.min(i, points - 1)];
    line.push(`${xOf(card, i * step).toFixed(1)},${(bottom - (value - low) * scale).toFixed(1)}`);
  }
  if (filled && line.length) {
    const area = `M${xOf(card, begin * step).toFixed(1)},${bottom}L${line.join("L")}L${xOf(card, end * step).toFixed(1)},${bottom}Z`;
    parts.append(shape("path", { class: `area ${name}`, d: area }));
  }
  parts.append(shape("path", { class: `curve ${name}`, d: `M${line.join("L")}` }));
}

function drawLabels(view, card) {
  const { layout } = card;
  const parts = layout.labels.map(({ top, text, strong, after, wide, free }) => {
    const width = layout.narrow || free ? "max-width:100%" : `right:${layout.plotWidth + (wide ? 8 : 46)}px`;
    const made = element("div", { class: strong ? "label strong" : "label", title: text, style: `top:${top}px;${width}` }, text);
    if (after) made.append(element("span", { style: "font-weight:400;font-size:12px;color:var(--soft)" }, ` ${after}`));
    return made;
  });
  if (!layout.narrow) {
    const tick = (top, value) => parts.push(element("div", { class: "tick", style: `top:${top}px;right:${layout.plotWidth + 6}px` }, value));
    const text = (value, other) => (Math.abs(value) < Math.abs(other) / 50 ? "0" : String(Number(value.toPrecision(2))).replace("-", "−"));
    for (const strip of layout.strips) {
      const range = strip.kind === "detections" ? scoreRange(view, card) : strip.kind === "activation" ? activationRange(view, card) : strip.kind === "attention" ? attentionRange(view, card) : null;
      if (!range) continue;
      tick(strip.top - 1, text(range[1], range[0]));
      if (strip.height > 30) tick(strip.top + strip.height - 11, text(range[0], range[1]));
    }
  }
  for (const old of card.timeline.querySelectorAll(".label, .tick")) old.remove();
  card.timeline.prepend(...parts);
}

// Outlines of the chosen segment and of its partner in the match.
function drawMarks(view, card) {
  card.marks.replaceChildren();
  if (!card.selected) return;
  const outline = (type, index, name) => {
    for (const strip of card.layout.strips) {
      const list = strip.kind === "truth" && type === "g" ? strip.row.instances : strip.kind === "detections" && type === "d" ? strip.row.detections : [];
      if (!list.includes(index)) continue;
      const table = type === "g" ? view.model.instances : view.model.detections;
      const y = type === "g" ? strip.top : heightOf(view, card, strip, index) - 2;
      const bar = barOf(card, table.start[index], table.end[index], y, type === "g" ? strip.height : BAR + 4);
      if (!bar) return;
      bar.setAttribute("x", Number(bar.getAttribute("x")) - 2);
      bar.setAttribute("width", Number(bar.getAttribute("width")) + 4);
      bar.setAttribute("class", name);
      bar.setAttribute("rx", 2);
      card.marks.append(bar);
    }
  };
  const partner = partnerOf(view, card.v, card.selected);
  if (partner) outline(partner.type, partner.index, "partner");
  outline(card.selected.type, card.selected.index, "chosen");
}
