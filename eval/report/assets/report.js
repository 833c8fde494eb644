// Starts the page: controls, legend, charts and the list of videos.

function start() {
  const model = readModel(JSON.parse(byId("report-data").textContent));
  const nearHalf = model.tiou.reduce((best, value, k) => (Math.abs(value - 0.5) < Math.abs(model.tiou[best] - 0.5) ? k : best), 0);
  const view = { model, k: nearHalf, match: matchAt(model, nearHalf), label: -1, score: -Infinity, hidden: new Set(), search: "", sort: "average", falling: true, cards: [], order: null };
  const names = Array.from(model.videos.names.keys());
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  view.rank = new Uint32Array(model.number);
  names.sort((a, b) => compare(model.videos.names[a], model.videos.names[b])).forEach((v, i) => { view.rank[v] = i; });
  const notes = byId("video-notes");
  notes.dataset.precision = notes.textContent;
  for (const line of model.notes) notes.append(" ", element("b", {}, line));
  makeCharts(view);
  makeLegend(view, () => applyView(view));
  makeControls(view);
  watch(view);
  applyView(view);
}

function makeCharts(view) {
  const { model } = view, { charts } = model;
  const numbers = (model.average.match(/\.\d+/g) || []).map(Number);
  const band = /^\.\d+-\.\d+$/.test(model.average) ? numbers : null;
  lineChart(byId("map-chart"), { x: model.tiou, series: [{ name: "", values: charts.mAP, colour: "var(--blue)" }], xName: "temporal IoU", band });
  stackedChart(byId("error-chart"), charts.best, model.kinds, (kind) => { setSort(view, `kind${kind}`); showVideos(); });
  byId("error-numbers").open = false;
  const table = byId("class-table");
  makeSortable(table);
  linkClasses(table, (name) => { setClass(view, model.classes.indexOf(name)); showVideos(); });
}

function showVideos() {
  byId("videos").scrollIntoView();
  byId("class").focus({ preventScroll: true });
}

function makeControls(view) {
  const { model } = view, option = (value, text) => element("option", { value }, text);
  const present = new Set([...model.instances.label, ...model.detections.label]);
  const classes = [...present].sort((a, b) => model.classes[a].localeCompare(model.classes[b]));
  byId("class").append(option(-1, "all classes"), ...classes.map((label) => option(label, model.classes[label])));
  byId("tiou").append(...model.tiou.map((value, k) => option(k, String(value))));
  byId("tiou").value = view.k;
  byId("sort").append(...Object.entries(SORTS).map(([name, sort]) => option(name, sort.text(view))));
  byId("class").addEventListener("change", () => setClass(view, Number(byId("class").value)));
  byId("sort").addEventListener("change", () => setSort(view, byId("sort").value));
  byId("tiou").addEventListener("change", () => {
    view.k = Number(byId("tiou").value);
    view.match = matchAt(model, view.k);
    applyView(view);
  });
  byId("direction").addEventListener("click", () => { view.falling = !view.falling; writeDirection(view); applyView(view); });
  byId("search").addEventListener("input", () => {
    view.search = byId("search").value.normalize("NFC").toLowerCase().trim();
    applyView(view);
  });
  byId("score").addEventListener("input", () => setScore(view, Number(byId("score").value)));
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  writeDirection(view);
  setScore(view, 0, true);
  for (const id of ["controls", "legend", "help"]) byId(id).hidden = false;
  byId("help").open = innerWidth > 720;
}

function setClass(view, label) {
  view.label = label;
  byId("class").value = label;
  applyView(view);
}

function setSort(view, name) {
  view.sort = name;
  view.falling = !SORTS[name].rising;
  byId("sort").value = name;
  writeDirection(view);
  applyView(view);
}

function writeDirection(view) {
  byId("direction").textContent = view.falling ? "↓" : "↑";
  byId("direction").setAttribute("aria-label", `Order: ${view.falling ? "descending" : "ascending"}; reverse it`);
}

// The slider goes over shares of the detections, because scores are rarely spread evenly.
function setScore(view, position, quiet) {
  const { sortedScores } = view.model, share = position / Number(byId("score").max);
  const index = Math.min(sortedScores.length - 1, Math.floor(share * sortedScores.length));
  view.score = position && sortedScores.length ? sortedScores[index] : -Infinity;
  const best = sortedScores.length ? (100 * (sortedScores.length - index)) / sortedScores.length : 0;
  const text = position && sortedScores.length ? `${scoreText(view.score)}, the best ${best < 10 ? best.toFixed(1) : best.toFixed(0)} %` : "any";
  byId("score-text").textContent = text;
  byId("score").setAttribute("aria-valuetext", text);
  if (!quiet) applyView(view);
}

// Draws cards that come near, forgets those far away, adds more at the end, and prepares paper.
function watch(view) {
  view.nearby = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const { card } = target;
      if (isIntersecting && !card.drawn) drawTimeline(view, card);
      if (!isIntersecting && card.drawn && !onPaper) {
        card.plot.replaceChildren();
        card.drawn = false;
      }
    }
  }, { rootMargin: "500px 0px" });
  view.sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const { card } = target.closest(".video");
      if (onPaper || !card.layout || Math.abs(card.layout.plotWidth + card.layout.left - target.clientWidth) < 1.5) continue;
      if (card.drawn) drawTimeline(view, card);
      else reserveHeight(view, card);
    }
  });
  const more = () => addCards(view, BATCH);
  byId("more").addEventListener("click", more);
  new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting) && !byId("more").hidden) more(); }, { rootMargin: "1200px 0px" }).observe(byId("more"));
  addEventListener("beforeprint", () => {
    onPaper = true;
    if (view.cards.length < Math.min(view.order.length, MOST_ON_PAPER)) addCards(view, MOST_ON_PAPER - view.cards.length);
    for (const card of view.cards) drawTimeline(view, card);
    for (const redraw of redraws) redraw();
    byId("error-numbers").open = true;
    if (view.order.length > view.cards.length) byId("count").textContent += ` (printed: the first ${view.cards.length} videos)`;
  });
  addEventListener("afterprint", () => {
    onPaper = false;
    for (const card of view.cards) drawTimeline(view, card);
    for (const redraw of redraws) redraw();
    writeCount(view);
  });
}

start();
