// Starts the page of a comparison: chart, tables, controls, and what paper needs.

const EQUAL = 0.005; // percent, as in eval/report/comparison.py

function start() {
  const { methods } = JSON.parse(byId("report-data").textContent);
  const models = methods.map(readModel), [first] = models;
  // The same time axis for all methods.
  for (let v = 0; v < first.videos.known; v++) {
    const end = Math.max(...models.map((model) => model.ends[v]));
    for (const model of models) model.ends[v] = end;
  }
  const hidden = new Set();
  const views = models.map((model) => ({ model, k: 0, match: null, label: -1, score: -Infinity, hidden, counts: [] }));
  const state = { models, views, names: methods.map((method) => method.name), column: first.tiou.length, label: -1, search: "", open: new Map(), reopen: new Set() };
  state.rank = new Uint32Array(first.number);
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const order = Array.from(first.videos.names.keys()).sort((a, b) => compare(first.videos.names[a], first.videos.names[b]));
  order.forEach((v, i) => { state.rank[v] = i; });
  state.annotated = first.instances.count.reduce((sum, count) => sum + (count > 0), 0);
  byId("video-notes").dataset.precision = byId("video-notes").textContent;
  for (const line of new Set(models.flatMap((model) => model.notes))) byId("video-notes").append(" ", element("b", {}, line));
  const series = methods.map(({ name, mAP }, m) => ({ name, values: mAP, colour: `var(--m${m})` }));
  lineChart(byId("map-chart"), { x: first.tiou, series, xName: "temporal IoU", band: null });
  makeSortable(byId("class-table"));
  linkClasses(byId("class-table"), (name) => {
    chooseClass(state, first.classes.indexOf(name));
    byId("videos").scrollIntoView();
    byId("class").focus({ preventScroll: true });
  });
  makeLegend(views[0], () => { for (const each of state.open.values()) each.draw(); });
  makeVideoTable(state);
  makeComparisonControls(state);
  chooseColumn(state, first.tiou.length);
  printWhole(state);
  const table = byId("video-table").parentElement;
  responsive(table, (width) => table.style.setProperty("--room", `${width}px`));
}

function makeComparisonControls(state) {
  const [model] = state.models, option = (value, text) => element("option", { value }, text);
  const present = [...new Set(model.instances.label)].sort((a, b) => model.classes[a].localeCompare(model.classes[b]));
  byId("class").append(option(-1, "all classes"), ...present.map((label) => option(label, model.classes[label])));
  byId("tiou").append(option(model.tiou.length, `average ${model.average}`), ...model.tiou.map((value, k) => option(k, String(value))));
  byId("class").addEventListener("change", () => chooseClass(state, Number(byId("class").value)));
  byId("tiou").addEventListener("change", () => chooseColumn(state, Number(byId("tiou").value)));
  byId("search").addEventListener("input", () => {
    state.search = byId("search").value.normalize("NFC").toLowerCase().trim();
    applyState(state);
  });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["controls", "legend", "help"]) byId(id).hidden = false;
}

function chooseClass(state, label) {
  state.label = label;
  for (const view of state.views) view.label = label;
  byId("class").value = label;
  applyState(state);
}

// The tIoU of the AP; detections are matched at it, and for the average at that nearest to 0.5.
function chooseColumn(state, column) {
  const { tiou } = state.models[0];
  const nearHalf = tiou.reduce((best, value, k) => (Math.abs(value - 0.5) < Math.abs(tiou[best] - 0.5) ? k : best), 0);
  state.column = column;
  for (const view of state.views) {
    view.k = column < tiou.length ? column : nearHalf;
    view.match = matchAt(view.model, view.k);
  }
  applyState(state);
}

function printWhole(state) {
  const redraw = () => {
    for (const each of state.open.values()) each.draw();
    for (const one of redraws) one();
  };
  addEventListener("beforeprint", () => {
    onPaper = true;
    if (state.rows < Math.min(state.order.length, MOST_ON_PAPER)) addRows(state, MOST_ON_PAPER - state.rows);
    redraw();
  });
  addEventListener("afterprint", () => { onPaper = false; redraw(); });
}

start();
