// What the marks mean; those of the kinds also hide and show the detections.
function makeLegend(view, changed) {
  const { model } = view;
  const mark = (name, text, style) => element("span", {}, element("i", { class: name, style }), text);
  const legend = byId("legend");
  legend.append(mark("found", "instance, found"), mark("missed", "instance, missed"));
  model.kinds.forEach((kind, number) => {
    const button = element("button", { type: "button", "aria-pressed": "true", title: "Hide or show these detections" }, element("i", { class: `k${number}` }), kind);
    button.addEventListener("click", () => {
      const hidden = !view.hidden.delete(number) && view.hidden.add(number);
      button.setAttribute("aria-pressed", String(!hidden));
      changed();
    });
    legend.append(button);
  });
  if (!model.curves) return;
  const line = (name, text) => mark("line", text, `background:var(--${name})`);
  legend.append(line("activation", "class activation"), line("instance", "instance attention"));
  if (model.curves.kind.includes(-2)) legend.append(line("context", "context attention"), mark("line dashed", "background attention", "background:var(--background)"));
}
