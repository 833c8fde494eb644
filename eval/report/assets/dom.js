// Small helpers for elements, numbers and the tooltip.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

// Text is always set as text, never as markup: names may hold anything.
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (key === "style") made.style.cssText = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function shape(name, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const NUMBER = new Intl.NumberFormat("en-US");
const whole = (value) => NUMBER.format(value);
const percent = (value) => (Number.isNaN(value) ? "–" : `${value.toFixed(1)} %`);
const scoreText = (value) => (Math.abs(value) >= 1000 ? value.toExponential(2) : value.toFixed(3));
const plural = (count, what) => `${whole(count)} ${what}${count === 1 ? "" : "s"}`;

// Digits after the point that tell neighbouring pixels apart, at most two.
function seconds(value, span = 100) {
  return value.toFixed(span > 3000 ? 0 : span > 60 ? 1 : 2);
}

// Round numbers between two limits, about `count` of them.
function roundSteps(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) || 10);
  const steps = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    steps.push(Number((i * step).toPrecision(12)));
  }
  return steps;
}

// Draws now, and again whenever the width changes, also for paper.
const PAPER_WIDTH = 690; // pixels between the margins of A4
let onPaper = false;
const redraws = new Set();
function responsive(container, draw) {
  let last = 0;
  const update = (force) => {
    const width = onPaper ? PAPER_WIDTH : container.clientWidth;
    if (width > 0 && (force || Math.abs(width - last) > 1)) { last = width; draw(width); }
  };
  new ResizeObserver(() => update(false)).observe(container);
  redraws.add(() => update(true));
  update(true);
}

// The tooltip: a title, and lines of text that may have a colour.
function showTip(x, y, title, lines) {
  const tip = byId("tip");
  tip.replaceChildren(element("b", {}, title));
  for (const line of lines) {
    const row = element("div");
    if (line.mark) row.append(element("i", { class: line.mark, style: line.colour ? `background:${line.colour}` : null }));
    row.append(line.text || line);
    tip.append(row);
  }
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth - 4 ? x - 14 - box.width : x + 14;
  const top = y + 16 + box.height > innerHeight - 4 ? y - 12 - box.height : y + 16;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}
function hideTip() { byId("tip").hidden = true; }
