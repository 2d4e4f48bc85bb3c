"use strict";
(() => {
  const table = document.querySelector("table"), body = table.tBodies[0], rows = [...body.rows];
  const filter = document.querySelector("#filter"), shown = document.querySelector("#shown");
  const texts = new Map(rows.map(row => [row, row.textContent.toLowerCase()]));
  const order = new Intl.Collator(undefined, { numeric: true });
  const key = (row, column) => row.cells[column].dataset.key ?? row.cells[column].textContent;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => (down ? -1 : 1) * order.compare(key(a, column), key(b, column)));
      body.append(...rows);
    });
  });
  const update = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = !words.every(word => texts.get(row).includes(word));
      count += !row.hidden;
    }
    shown.textContent = `${count} of ${rows.length}`;
  };
  filter.addEventListener("input", update);
  update();
})();
