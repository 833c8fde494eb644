// The table of videos of a comparison, and the timelines of all methods below a row that is open.
//   state: { models, views, names, column, label, search, sort, falling, order, rows, open, scale }

const ROWS = 100; // rows that are added at once

const averageOf = (state, m, v) => precisionOf(state.models[m], v, state.column, state.label);
const differenceOf = (state, m, v) => averageOf(state, m, v) - averageOf(state, 0, v);

// Columns of the table: text of the heading and value of a video; the first one is the name.
function videoColumns(state) {
  const instances = (v) => countInstances(state, v);
  const columns = [{ text: "video" }, { text: "instances", value: instances, number: true }];
  state.names.forEach((name, m) => columns.push({ text: name, value: (v) => averageOf(state, m, v) }));
  state.names.slice(1).forEach((name, i) => {
    const text = state.names.length > 2 ? `${name} − ${state.names[0]}` : "difference";
    columns.push({ text, value: (v) => differenceOf(state, i + 1, v), difference: true });
  });
  return columns;
}

function countInstances(state, v) {
  const { instances } = state.models[0];
  if (state.label < 0) return instances.count[v];
  let count = 0;
  for (let g = instances.first[v]; g < instances.first[v + 1]; g++) count += instances.label[g] === state.label;
  return count;
}

function makeVideoTable(state) {
  const head = byId("video-table").tHead.rows[0];
  state.columns = videoColumns(state);
  head.append(...state.columns.map((column, place) => {
    const button = element("button", { type: "button" }, column.text);
    button.addEventListener("click", () => {
      state.falling = state.sort === place ? !state.falling : place > 0;
      state.sort = place;
      applyState(state);
    });
    return element("th", { scope: "col", class: column.difference ? "difference" : null }, button);
  }));
  state.sort = state.columns.length - 1;
  state.falling = true;
  byId("more").addEventListener("click", () => addRows(state, ROWS));
  const near = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !byId("more").hidden) addRows(state, ROWS);
  }, { rootMargin: "1200px 0px" });
  near.observe(byId("more"));
}

// The chosen videos, those with annotated instances, in their order.
function orderVideos(state) {
  const [model] = state.models, found = [];
  for (let v = 0; v < model.videos.known; v++) {
    if (!countInstances(state, v)) continue;
    if (!state.search || model.lowerNames[v].includes(state.search)) found.push(v);
  }
  const { value } = state.columns[state.sort], sign = state.falling ? -1 : 1;
  const byName = (a, b) => state.rank[a] - state.rank[b];
  if (!value) return found.sort((a, b) => sign * byName(a, b));
  const keys = new Map(found.map((v) => [v, value(v)]));
  return found.sort((a, b) => sign * (keys.get(a) - keys.get(b)) || byName(a, b));
}

// Applies the controls: the table is made again, and videos that are open stay open.
function applyState(state) {
  state.order = orderVideos(state);
  state.rows = 0;
  const [head] = byId("video-table").tHead.rows;
  state.columns.forEach((_, place) => head.cells[place].removeAttribute("aria-sort"));
  head.cells[state.sort].setAttribute("aria-sort", state.falling ? "descending" : "ascending");
  let largest = 0;
  for (const v of state.order) {
    for (let m = 1; m < state.models.length; m++) largest = Math.max(largest, Math.abs(differenceOf(state, m, v)));
  }
  state.scale = largest || 1;
  const open = new Set(state.open.keys());
  closeAll(state);
  state.reopen = open;
  byId("video-table").tBodies[0].replaceChildren();
  addRows(state, ROWS);
  byId("count").textContent = countText(state);
}

function countText(state) {
  const { order, names } = state, total = state.annotated;
  const part = order.length === total ? "" : ` of ${whole(total)}`;
  const parts = names.slice(1).map((name, i) => {
    const differences = order.map((v) => differenceOf(state, i + 1, v));
    const better = differences.filter((one) => one > EQUAL).length, worse = differences.filter((one) => one < -EQUAL).length;
    return `${name} is better in ${whole(better)}, worse in ${whole(worse)}`;
  });
  return `${whole(order.length)}${part} ${order.length === 1 && !part ? "video" : "videos"} with instances: ${parts.join("; ")}`;
}

function addRows(state, number) {
  const body = byId("video-table").tBodies[0], parts = document.createDocumentFragment();
  const added = state.order.slice(state.rows, state.rows + number);
  const rows = added.map((v) => makeRow(state, v));
  parts.append(...rows);
  body.append(parts);
  state.rows += added.length;
  byId("more").hidden = state.rows >= state.order.length;
  added.forEach((v, i) => { if (state.reopen.delete(v)) openVideo(state, v, rows[i]); });
}

function makeRow(state, v) {
  const name = state.models[0].videos.names[v];
  const button = element("button", { type: "button", "aria-expanded": "false", title: `Timelines of ${name}` }, name);
  const row = element("tr", {}, element("th", { scope: "row", class: "name" }, button));
  for (const column of state.columns.slice(1)) {
    const value = column.value(v);
    if (column.difference) row.append(differenceCell(value, state.scale));
    else if (column.number) row.append(element("td", {}, whole(value)));
    else row.append(element("td", { class: "heat", style: `--v: ${value.toFixed(1)}` }, value.toFixed(1)));
  }
  row.addEventListener("click", () => {
    if (!state.open.has(v)) openVideo(state, v, row);
    else closeVideo(state, v);
  });
  return row;
}

// A difference in percent, with a bar to the right or left of the middle.
function differenceCell(value, scale) {
  const kind = value > EQUAL ? " up" : value < -EQUAL ? " down" : "";
  const bar = element("i", { style: `--v: ${((100 * Math.abs(value)) / scale).toFixed(1)}` });
  return element("td", { class: `difference${kind}` }, element("div", {}, bar, element("span", {}, signed(value))));
}

const signed = (value) => `${value > EQUAL ? "+" : value < -EQUAL ? "−" : "±"}${Math.abs(value).toFixed(1)}`;

// Shows the timelines of all methods below a row; they zoom together.
function openVideo(state, v, row) {
  const cards = state.views.map((view, m) => {
    view.counts[v] = countVideo(view.model, view.match, v, view.label, view.score);
    return makeCard(view, v, state.names[m]);
  });
  cards.forEach((card, m) => {
    card.root.style.setProperty("--method", `var(--m${m})`);
    card.onZoom = (from, to) => cards.forEach((other, n) => {
      if (n === m) return;
      [other.from, other.to] = [from, to];
      drawTimeline(state.views[n], other);
      updateZoom(state.views[n], other);
    });
  });
  const group = element("div", { class: "group" }, ...cards.map((card) => card.root));
  const below = element("tr", { class: "below" }, element("td", { colspan: state.columns.length }, group));
  row.after(below);
  row.querySelector("button").setAttribute("aria-expanded", "true");
  const draw = () => cards.forEach((card, m) => drawTimeline(state.views[m], card));
  const sizes = new ResizeObserver(draw);
  sizes.observe(group);
  state.open.set(v, { row, below, cards, draw, sizes });
  draw();
}

function closeVideo(state, v) {
  const { row, below, cards, sizes } = state.open.get(v);
  cards.forEach(closePlayer);
  sizes.disconnect();
  below.remove();
  row.querySelector("button").setAttribute("aria-expanded", "false");
  state.open.delete(v);
}

function closeAll(state) {
  for (const v of [...state.open.keys()]) closeVideo(state, v);
}
