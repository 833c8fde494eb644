// Pointer and keyboard on a timeline: hover, choice of a segment, zoom, and the texts about segments.

function partnerOf(view, v, { type, index }) {
  if (type === "g") {
    const d = view.match.holders[index];
    return d >= 0 ? { type: "d", index: d } : null;
  }
  const g = view.match.taken[index];
  return g >= 0 ? { type: "g", index: g } : null;
}

const interval = (start, end) => `${seconds(start)} to ${seconds(end)} s`;

// Lines about a segment; the first one is its title.
function describe(view, v, { type, index }) {
  const { model, match } = view, { instances, detections } = model;
  const table = type === "g" ? instances : detections;
  const start = table.start[index], end = table.end[index];
  const name = model.classes[table.label[index]];
  const times = `${interval(start, end)} (${seconds(end - start)} s long)`;
  if (type === "g") {
    const partner = partnerOf(view, v, { type, index });
    if (!partner) return [`Instance: ${name}`, times, match.holders[index] === NOT_SHOWN ? "found by a detection that is not shown" : `missed at tIoU ${model.tiou[view.k]}`];
    const d = partner.index;
    const tiou = overlapOf(detections.start[d], detections.end[d], start, end);
    return [`Instance: ${name}`, times, `found with tIoU ${tiou.toFixed(2)} by the detection of score ${scoreText(detections.score[d])}`];
  }
  const kind = match.kind[index];
  const near = nearestInstance(model, v, index, kind !== WRONG_CLASS);
  let g = kind === TRUE_POSITIVE ? match.taken[index] : near.instance;
  const lines = [`Detection: ${name}`, times, `score ${scoreText(detections.score[index])}`];
  if (g < 0 || kind === BACKGROUND) return [...lines, { mark: `k${kind}`, text: model.kinds[kind] }];
  const tiou = overlapOf(detections.start[index], detections.end[index], instances.start[g], instances.end[g]);
  const other = kind === WRONG_CLASS ? ` of ${model.classes[instances.label[g]]}` : "";
  return [...lines, { mark: `k${kind}`, text: `${model.kinds[kind]}: tIoU ${tiou.toFixed(2)} with the instance${other} ${interval(instances.start[g], instances.end[g])}` }];
}

// The segment below a point: the best one if several are near.
function segmentAt(view, card, x, y) {
  for (const strip of card.layout.strips) {
    if (y < strip.top - 2 || y > strip.top + strip.height + 2) continue;
    const type = strip.kind === "truth" ? "g" : strip.kind === "detections" ? "d" : "";
    if (!type) return null;
    const table = type === "g" ? view.model.instances : view.model.detections;
    let best = null, nearest = 7;
    for (const index of type === "g" ? strip.row.instances : strip.row.detections) {
      const left = xOf(card, table.start[index]), right = Math.max(left + 1.5, xOf(card, table.end[index]));
      if (!(table.end[index] >= table.start[index]) || x < left - 3 || x > right + 3) continue;
      const away = type === "g" ? 0 : Math.abs(heightOf(view, card, strip, index) + BAR / 2 - y);
      if (away < nearest) { nearest = away; best = { type, index }; }
    }
    return best;
  }
  return null;
}

// Values of the curves at a time, for the tooltip.
function curveLines(view, card, time, y) {
  const { curves, videos } = view.model, lines = [];
  if (!curves || !curves.points[card.v]) return lines;
  const points = curves.points[card.v];
  const at = Math.min(points - 1, Math.max(0, Math.floor((time / videos.seconds[card.v]) * points)));
  const value = (c) => curves.low[c] + ((curves.high[c] - curves.low[c]) / 255) * curves.values[curves.begin[c] + at];
  const strip = card.layout.strips.find((one) => y >= one.top && y <= one.top + one.height);
  const rows = strip && strip.row ? [strip.row] : card.content.rows;
  for (const row of rows) {
    if (row.curve >= 0) lines.push({ mark: "line", colour: "var(--activation)", text: `activation of ${view.model.classes[row.label]} ${value(row.curve).toFixed(3)}` });
  }
  for (const c of card.content.attention) {
    const name = ATTENTIONS[curves.kind[c]];
    lines.push({ mark: "line", colour: `var(--${name})`, text: `${name} attention ${value(c).toFixed(3)}` });
  }
  return lines;
}

function zoomTo(view, card, from, to) {
  const end = view.model.ends[card.v];
  const span = Math.min(end, Math.max(to - from, Math.min(end, 0.2)));
  card.from = Math.min(Math.max(0, from), end - span);
  card.to = card.from + span;
  drawTimeline(view, card);
  updateZoom(view, card);
  if (card.onZoom) card.onZoom(card.from, card.to);
}

function zoomBy(view, card, factor, around) {
  const centre = around ?? (card.from + card.to) / 2;
  zoomTo(view, card, centre - (centre - card.from) * factor, centre + (card.to - centre) * factor);
}

function pan(view, card, share) {
  const step = (card.to - card.from) * share;
  zoomTo(view, card, card.from + step, card.to + step);
}

function choose(view, card, segment) {
  card.selected = segment;
  if (segment) {
    const table = segment.type === "g" ? view.model.instances : view.model.detections;
    const start = table.start[segment.index], end = table.end[segment.index];
    if (end < card.from || start > card.to) {
      const half = (card.to - card.from) / 2;
      zoomTo(view, card, (start + end) / 2 - half, (start + end) / 2 + half);
    }
    card.detail.textContent = describe(view, card.v, segment).map((line) => line.text || line).join(" · ");
  } else card.detail.textContent = "";
  drawMarks(view, card);
}

// Segments of each strip in the order of time, for the keyboard.
function stripsOfSegments(view, card) {
  return card.layout.strips
    .filter((strip) => strip.kind === "truth" || strip.kind === "detections")
    .map((strip) => {
      const type = strip.kind === "truth" ? "g" : "d";
      const table = type === "g" ? view.model.instances : view.model.detections;
      const list = [...(type === "g" ? strip.row.instances : strip.row.detections)];
      return list.sort((a, b) => table.start[a] - table.start[b] || a - b).map((index) => ({ type, index, time: table.start[index] }));
    })
    .filter((list) => list.length);
}

function moveChoice(view, card, along, across) {
  const strips = stripsOfSegments(view, card);
  if (!strips.length) return;
  const same = (one) => card.selected && one.type === card.selected.type && one.index === card.selected.index;
  const row = strips.findIndex((list) => list.some(same));
  if (row < 0) { choose(view, card, strips[0][along < 0 ? strips[0].length - 1 : 0]); return; }
  const column = strips[row].findIndex(same);
  if (!across) {
    const next = Number.isFinite(along) ? column + along : along < 0 ? 0 : strips[row].length - 1;
    choose(view, card, strips[row][Math.min(strips[row].length - 1, Math.max(0, next))]);
    return;
  }
  const list = strips[Math.min(strips.length - 1, Math.max(0, row + across))];
  const time = strips[row][column].time;
  choose(view, card, list.reduce((best, one) => (Math.abs(one.time - time) < Math.abs(best.time - time) ? one : best)));
}

function onKey(view, card, event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const moves = {
    ArrowLeft: () => (event.shiftKey ? pan(view, card, -0.25) : moveChoice(view, card, -1, 0)),
    ArrowRight: () => (event.shiftKey ? pan(view, card, 0.25) : moveChoice(view, card, 1, 0)),
    ArrowUp: () => moveChoice(view, card, 0, -1),
    ArrowDown: () => moveChoice(view, card, 0, 1),
    Home: () => moveChoice(view, card, -Infinity, 0),
    End: () => moveChoice(view, card, Infinity, 0),
    "+": () => zoomBy(view, card, 0.5, centreOf(view, card)),
    "=": () => zoomBy(view, card, 0.5, centreOf(view, card)),
    "-": () => zoomBy(view, card, 2, centreOf(view, card)),
    0: () => zoomTo(view, card, 0, Infinity),
    Escape: () => { choose(view, card, null); closePlayer(card); hideTip(); },
    Enter: () => card.selected && play(view, card, card.selected),
    " ": () => card.selected && play(view, card, card.selected),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
}

// Middle of the chosen segment, if there is one.
function centreOf(view, card) {
  if (!card.selected) return undefined;
  const table = card.selected.type === "g" ? view.model.instances : view.model.detections;
  return (table.start[card.selected.index] + table.end[card.selected.index]) / 2;
}

function makeInteractive(view, card) {
  const { plot } = card;
  const place = (event) => {
    const box = plot.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  let pressed = null, brush = null;
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !card.drawn) return;
    pressed = place(event);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => {
    if (!card.drawn) return;
    const [x, y] = place(event);
    if (pressed && Math.abs(x - pressed[0]) > 4) {
      hideTip();
      if (!brush) {
        brush = shape("rect", { class: "brush", y: 0, height: card.layout.axis });
        plot.append(brush);
      }
      brush.setAttribute("x", Math.min(x, pressed[0]));
      brush.setAttribute("width", Math.abs(x - pressed[0]));
      return;
    }
    card.cursor.setAttribute("visibility", "visible");
    card.cursor.setAttribute("x1", x);
    card.cursor.setAttribute("x2", x);
    const segment = segmentAt(view, card, x, y);
    const time = timeAt(card, x);
    const lines = segment ? describe(view, card.v, segment) : [`${seconds(time, card.to - card.from)} s`, ...curveLines(view, card, time, y)];
    plot.style.cursor = segment ? "pointer" : "crosshair";
    showTip(event.clientX, event.clientY, lines[0], lines.slice(1));
  });
  const leave = () => {
    hideTip();
    if (card.cursor) card.cursor.setAttribute("visibility", "hidden");
  };
  plot.addEventListener("pointerleave", leave);
  const release = (event) => {
    if (!pressed) return;
    const [x, y] = place(event), from = pressed[0], dragged = brush !== null;
    if (brush) brush.remove();
    pressed = brush = null;
    if (event.type === "pointercancel") return;
    if (dragged) {
      zoomTo(view, card, timeAt(card, Math.min(x, from)), timeAt(card, Math.max(x, from)));
      return;
    }
    const segment = segmentAt(view, card, x, y);
    choose(view, card, segment);
    hideTip();
    if (segment) play(view, card, segment);
  };
  plot.addEventListener("pointerup", release);
  plot.addEventListener("pointercancel", release);
  plot.addEventListener("dblclick", () => zoomTo(view, card, 0, Infinity));
  plot.addEventListener("wheel", (event) => {
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    const zoomed = card.to - card.from < view.model.ends[card.v];
    if (event.ctrlKey) zoomBy(view, card, 2 ** (event.deltaY / 200), timeAt(card, place(event)[0]));
    else if (sideways && zoomed) pan(view, card, (event.deltaX || event.deltaY) / card.layout.plotWidth);
    else return;
    event.preventDefault();
  }, { passive: false });
  card.timeline.addEventListener("keydown", (event) => onKey(view, card, event));
}
