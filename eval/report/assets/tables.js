// Tables that are sorted by a click on a heading.

function makeSortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = element("button", { type: "button" }, cell.textContent);
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = cell.getAttribute("aria-sort") !== "descending" && (column > 0 || cell.getAttribute("aria-sort") === "ascending");
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value;
      const compare = column === 0 ? (a, b) => key(a).localeCompare(key(b)) : (a, b) => key(a) - key(b);
      body.append(...[...body.rows].sort((a, b) => (falling ? -compare(a, b) : compare(a, b))));
    });
  });
}

// The name of each class becomes a button.
function linkClasses(table, chosen) {
  for (const row of table.tBodies[0].rows) {
    const cell = row.cells[0], name = cell.dataset.value;
    const button = element("button", { type: "button", title: `Videos of ${name}` }, name);
    button.addEventListener("click", () => chosen(name));
    cell.replaceChildren(button);
  }
}
