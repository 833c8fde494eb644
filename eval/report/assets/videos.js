// The list of videos: which are shown, in which order, and their cards.

const BATCH = 20; // cards that are added at once
const MOST_ON_PAPER = 300;
const SORTS = {
  average: { text: (view) => `AP, average ${view.model.average}`, key: (view, v) => precisionOf(view.model, v, view.model.tiou.length, view.label) },
  precision: { text: () => "AP at the chosen tIoU", key: (view, v) => precisionOf(view.model, v, view.k, view.label) },
  name: { text: () => "name", rising: true },
  instances: { text: () => "number of instances", key: (view, v) => view.counts[v].total },
  missed: { text: () => "missed instances", key: (view, v) => view.counts[v].total - view.counts[v].found },
  detections: { text: () => "number of detections", key: (view, v) => view.counts[v].shown },
  kind0: { text: () => "true positives", key: (view, v) => view.counts[v].kinds[0] },
  kind1: { text: () => "errors: duplicate", key: (view, v) => view.counts[v].kinds[1] },
  kind2: { text: () => "errors: localization", key: (view, v) => view.counts[v].kinds[2] },
  kind3: { text: () => "errors: wrong class", key: (view, v) => view.counts[v].kinds[3] },
  kind4: { text: () => "errors: background", key: (view, v) => view.counts[v].kinds[4] },
  seconds: { text: () => "length of the video", key: (view, v) => view.model.ends[v] },
};

// The chosen videos in their order; videos without a value come last in both directions.
function chosenVideos(view) {
  const { model } = view, found = [];
  for (let v = 0; v < model.number; v++) {
    if (view.search && !model.lowerNames[v].includes(view.search)) continue;
    if (view.label >= 0 && !view.counts[v].total && !view.counts[v].shown) continue;
    found.push(v);
  }
  const sort = SORTS[view.sort], sign = view.falling ? -1 : 1;
  const byName = (a, b) => view.rank[a] - view.rank[b];
  if (!sort.key) return found.sort((a, b) => sign * byName(a, b));
  const keys = new Map(found.map((v) => [v, sort.key(view, v)]));
  return found.sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || byName(a, b);
    return sign * (x - y) || byName(a, b);
  });
}

// Applies the controls; the cards stay where they are if the order is the same.
function applyView(view) {
  const { model } = view;
  view.counts = Array.from({ length: model.number }, (_, v) => countVideo(model, view.match, v, view.label, view.score));
  const order = chosenVideos(view);
  const same = view.order && order.length === view.order.length && order.every((v, i) => v === view.order[i]);
  view.order = order;
  writeCount(view);
  if (same && view.cards.length) {
    for (const card of view.cards) refreshCard(view, card);
    return;
  }
  for (const card of view.cards) dropCard(view, card);
  view.cards = [];
  byId("list").replaceChildren();
  if (!order.length) byId("list").append(element("p", { class: "empty" }, "No video fits. Change the search or the class."));
  addCards(view, BATCH);
}

function addCards(view, number) {
  const begin = view.cards.length, parts = document.createDocumentFragment();
  const added = view.order.slice(begin, begin + number).map((v) => makeCard(view, v));
  for (const card of added) parts.append(card.root);
  view.cards.push(...added);
  byId("list").append(parts);
  const hidden = view.cards.length >= view.order.length;
  byId("more").hidden = hidden;
  for (const card of added) {
    reserveHeight(view, card);
    view.nearby.observe(card.root);
    view.sizes.observe(card.timeline);
  }
}

function dropCard(view, card) {
  closePlayer(card);
  view.nearby.unobserve(card.root);
  view.sizes.unobserve(card.timeline);
}

function makeCard(view, v, title = view.model.videos.names[v]) {
  const { model } = view, name = model.videos.names[v];
  const card = { v, from: 0, to: model.ends[v], selected: null, drawn: false, video: null };
  const button = (text, label, action) => {
    const made = element("button", { type: "button", "aria-label": `${label}: ${name}`, title: label }, text);
    made.addEventListener("click", action);
    return made;
  };
  card.window = element("span");
  card.back = button("‹", "Earlier", () => pan(view, card, -0.5));
  card.on = button("›", "Later", () => pan(view, card, 0.5));
  card.out = button("−", "Zoom out", () => zoomBy(view, card, 2));
  card.all = button("all", "Whole video", () => zoomTo(view, card, 0, Infinity));
  const zoomIn = button("+", "Zoom in", () => zoomBy(view, card, 0.5, centreOf(view, card)));
  card.zoom = element("div", { class: "zoom" }, card.window, card.back, card.on, card.out, zoomIn, card.all);
  card.facts = element("div", { class: "counts" });
  card.head = element("header", {}, element("h3", {}, title), card.facts, card.zoom);
  card.plot = shape("svg", { class: "plot", "aria-hidden": "true" });
  card.timeline = element("div", { class: "timeline", tabindex: 0, role: "application", "aria-roledescription": "timeline", "aria-describedby": "hint" }, card.plot);
  card.stage = element("div", { class: "stage" }, card.timeline);
  card.detail = element("p", { class: "detail", "aria-live": "polite" });
  card.root = element("article", { class: "video", "aria-label": title }, card.head, card.stage, card.detail);
  card.root.card = card;
  writeFacts(view, card);
  updateZoom(view, card);
  makeInteractive(view, card);
  return card;
}

// The height of a timeline that is not drawn yet, so that nothing jumps when it is.
function reserveHeight(view, card) {
  const width = onPaper ? PAPER_WIDTH : card.timeline.clientWidth;
  card.layout = layOut(view, classRows(view, card.v), width);
  card.timeline.style.height = `${card.layout.height}px`;
}

function refreshCard(view, card) {
  writeFacts(view, card);
  if (card.selected && card.selected.type === "d" && !(view.model.detections.score[card.selected.index] >= view.score)) choose(view, card, null);
  if (card.drawn) {
    drawTimeline(view, card);
    if (card.selected) choose(view, card, card.selected);
  } else reserveHeight(view, card);
}

function writeFacts(view, card) {
  const { model } = view, { v } = card, counts = view.counts[v];
  const average = precisionOf(model, v, model.tiou.length, view.label);
  const at = precisionOf(model, v, view.k, view.label);
  const fact = (text, value, title) => element("span", title ? { title } : {}, text, element("b", {}, value));
  const facts = [];
  if (v >= model.videos.known) facts.push(element("span", {}, "not in the ground truth"));
  else if (counts.total) {
    const title = byId("video-notes").dataset.precision;
    facts.push(fact(`AP ${model.average} `, percent(average), title), fact(`at tIoU ${model.tiou[view.k]} `, percent(at), title));
    facts.push(fact("found ", `${counts.found} of ${counts.total}`));
  } else facts.push(element("span", {}, "no instance annotated"));
  counts.kinds.forEach((count, kind) => {
    if (count) facts.push(element("span", { title: model.kinds[kind] }, element("i", { class: `k${kind}` }), whole(count)));
  });
  card.facts.replaceChildren(...facts);
  card.timeline.setAttribute("aria-label", `Timeline of ${model.videos.names[v]}, ${plural(counts.total, "instance")}, ${plural(counts.shown, "detection")}`);
}

function updateZoom(view, card) {
  const end = view.model.ends[card.v], zoomed = card.to - card.from < end * (1 - 1e-9);
  card.window.textContent = zoomed ? `${seconds(card.from)}–${seconds(card.to)} of ${seconds(end, 1000)} s` : `${seconds(end, 1000)} s`;
  for (const button of [card.back, card.on, card.out, card.all]) button.disabled = !zoomed;
}

function writeCount(view) {
  const { model, order } = view;
  let shown = 0, found = 0, total = 0;
  for (const v of order) {
    shown += view.counts[v].shown;
    found += view.counts[v].found;
    total += view.counts[v].total;
  }
  const part = order.length === model.number ? "" : ` of ${whole(model.number)}`;
  byId("count").textContent = `${whole(order.length)}${part} ${order.length === 1 && !part ? "video" : "videos"}: at tIoU ${model.tiou[view.k]}, ${whole(found)} of ${plural(total, "instance")} found, ${plural(shown, "detection")}`;
}
