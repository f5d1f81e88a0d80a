// Tables: sorted by a click on a heading; on a phone a board shows its first columns.
const tables = (() => {
  "use strict";

  const number = (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value));
  const text = (cell) => cell.dataset.text ?? cell.textContent.trim();
  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (a !== null && b !== null) return a - b;
    return text(one).localeCompare(text(other), "en", { numeric: true });
  };

  // Within each body, so that incomplete strategies stay apart. The first click puts the best
  // first, the next one the worst.
  const sort = (table, column, heading) => {
    const before = heading.getAttribute("aria-sort");
    const most = heading.dataset.best === "most";
    const down = before ? before === "ascending" : most;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    // Without a number a cell comes last, whichever the direction.
    const known = (row) => {
      const cell = row.cells[column];
      return !heading.classList.contains("number") || cell.dataset.value !== undefined;
    };
    for (const body of table.tBodies) {
      const rows = [...body.rows].sort(
        (a, b) =>
          known(b) - known(a) ||
          compare(a.cells[column], b.cells[column]) * (down ? -1 : 1),
      );
      body.append(...rows);
    }
  };

  const sortable = (table) => {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      if (heading.classList.contains("still")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column, heading));
      heading.append(button);
    });
  };

  const widening = (table) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "All columns";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const every = table.classList.toggle("every");
      button.setAttribute("aria-pressed", String(every));
    });
    const line = document.createElement("p");
    line.className = "buttons phone";
    line.append(button);
    table.parentElement.after(line);
  };

  const copied = (code) => {
    const copy = document.createElement("button");
    copy.type = "button";
    copy.textContent = "Copy";
    copy.addEventListener("click", async () => {
      getSelection().selectAllChildren(code);
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        document.execCommand("copy"); // from a file some browsers refuse the clipboard
      }
      copy.textContent = "Copied";
    });
    const line = document.createElement("p");
    line.className = "buttons";
    line.append(copy);
    code.after(line);
  };

  const prepare = (root) => {
    root.querySelectorAll("table.sortable").forEach(sortable);
    root.querySelectorAll("table.board").forEach(widening);
    root.querySelectorAll("pre.copied").forEach(copied);
  };
  return { prepare };
})();
