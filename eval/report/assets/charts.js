// The two charts at the top: mAP over tIoU, and the kinds of the best detections.

// Lines over a common x axis; used for one or several methods.
//   x: values of the axis; series: [{name, values, colour}] in percent; band: thresholds of the main average
function lineChart(container, { x, series, xName, band }) {
  responsive(container, (width) => {
    const height = 250, left = 42, right = 16, top = 22, bottom = 40;
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", `Line chart of the mAP in percent over ${xName}; the table below has the numbers`);
    const low = x[0], high = x[x.length - 1];
    const most = Math.max(...series.flatMap((one) => one.values.filter((value) => value !== null)), 1);
    const ticks = roundSteps(0, most * 1.08, 4);
    const limit = Math.max(ticks[ticks.length - 1], most * 1.08);
    const px = (value) => left + (high > low ? (value - low) / (high - low) : 0.5) * (width - left - right - 24) + 12;
    const py = (value) => height - bottom - (value / limit) * (height - top - bottom);
    if (band) {
      const from = px(band[0]), to = px(band[1]);
      svg.append(shape("rect", { x: from - 6, y: top - 8, width: to - from + 12, height: height - bottom - top + 8, fill: "var(--blue)", opacity: 0.07, rx: 4 }));
    }
    for (const tick of ticks) {
      svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }));
      svg.append(shape("text", { x: left - 8, y: py(tick) + 4, "text-anchor": "end" }, `${tick}`));
    }
    const sparse = Math.ceil(x.length / Math.max(2, (width - left - right) / 46));
    x.forEach((value, i) => {
      if (i % sparse === 0) svg.append(shape("text", { x: px(value), y: height - bottom + 18, "text-anchor": "middle" }, `${Number(value.toPrecision(4))}`));
    });
    svg.append(shape("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xName));
    svg.append(shape("text", { x: 0, y: 11 }, "mAP %"));
    for (const { name, values, colour } of series) {
      const points = values.map((value, i) => [px(x[i]), py(value || 0)]);
      svg.append(shape("polyline", { points: points.map((p) => p.join()).join(" "), fill: "none", stroke: colour, "stroke-width": 2.5, "stroke-linejoin": "round" }));
      points.forEach(([cx, cy], i) => {
        svg.append(shape("circle", { cx, cy, r: 3.5, fill: colour }));
        if (series.length === 1 && i % sparse === 0) {
          svg.append(shape("text", { class: "value", x: cx + 2, y: cy - 9, "text-anchor": "middle" }, (values[i] || 0).toFixed(1)));
        }
        const target = shape("circle", { cx, cy, r: 12, fill: "transparent" });
        target.addEventListener("pointermove", (event) =>
          showTip(event.clientX, event.clientY, `tIoU ${Number(x[i].toPrecision(4))}`, [`${name ? `${name}: ` : ""}mAP ${(values[i] || 0).toFixed(2)} %`]));
        target.addEventListener("pointerleave", hideTip);
        svg.append(target);
      });
    }
    container.replaceChildren(svg);
  });
}

// Stacked columns of shares; `columns` is {name: {kind: count}}.
function stackedChart(container, columns, kinds, chosen) {
  responsive(container, (width) => {
    const height = 260, left = 42, right = 8, top = 18, bottom = 40;
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
    svg.setAttribute("aria-label", "Stacked columns: share of each kind among the best detections; the table below has the numbers");
    const names = Object.keys(columns), step = (width - left - right) / names.length;
    const py = (share) => height - bottom - share * (height - top - bottom);
    for (const tick of [0, 25, 50, 75, 100]) {
      svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: py(tick / 100), y2: py(tick / 100) }));
      svg.append(shape("text", { x: left - 8, y: py(tick / 100) + 4, "text-anchor": "end" }, `${tick}`));
    }
    svg.append(shape("text", { x: 0, y: 11 }, "% of detections"));
    names.forEach((name, i) => {
      const counts = kinds.map((kind) => columns[name][kind]);
      const total = counts.reduce((a, b) => a + b, 0);
      const x = left + i * step + step * 0.14, wide = step * 0.72;
      let below = 0;
      counts.forEach((count, kind) => {
        const share = total ? count / total : 0;
        const bar = shape("rect", { x, y: py(below + share), width: wide, height: Math.max(0, py(below) - py(below + share)), fill: `var(--k${kind})`, stroke: "var(--card)", "stroke-width": 0.8 });
        bar.addEventListener("pointermove", (event) =>
          showTip(event.clientX, event.clientY, `best ${name}`, [{ mark: `k${kind}`, text: `${kinds[kind]}: ${(100 * share).toFixed(1)} % (${whole(count)})` }]));
        bar.addEventListener("pointerleave", hideTip);
        bar.addEventListener("click", () => chosen(kind));
        bar.style.cursor = "pointer";
        svg.append(bar);
        below += share;
      });
      svg.append(shape("text", { x: x + wide / 2, y: height - bottom + 18, "text-anchor": "middle" }, name));
    });
    svg.append(shape("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, "best k G detections of each class with G instances"));
    container.replaceChildren(svg);
  });
}
