"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  table.classList.add("sorts");
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const missing = (value) => value === "" || value === "nan";
      const rows = [...table.tBodies[0].rows].sort((one, two) => {
        const a = key(one);
        const b = key(two);
        if (missing(a) || missing(b)) return missing(a) - missing(b);
        const numeric = Number(a) - Number(b);
        const order = Number.isNaN(numeric) ? a.localeCompare(b) : numeric;
        return down ? -order : order;
      });
      table.tBodies[0].append(...rows);
    };
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", sort);
  });
}
