(() => {
  "use strict";

  // Sorting: a click on a heading; within each body, so that incomplete strategies stay apart.
  const number = (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value));
  const text = (cell) => cell.dataset.text ?? cell.textContent.trim();
  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (a !== null && b !== null) return a - b;
    return text(one).localeCompare(text(other), "en", { numeric: true });
  };

  // The first click puts the best first, the next one the worst.
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

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, column, heading));
      heading.append(button);
    });
  }

  // On a phone a board shows the columns that matter most; a button brings the others.
  for (const table of document.querySelectorAll("table.board:not(.every)")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "All columns";
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const every = table.classList.toggle("every");
      button.setAttribute("aria-pressed", String(every));
    });
    const line = document.createElement("p");
    line.className = "downloads phone";
    line.append(button);
    table.parentElement.before(line);
  }

  // The command that reproduces the report, to be pasted.
  const command = document.getElementById("command");
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "Copy";
  copy.addEventListener("click", async () => {
    getSelection().selectAllChildren(command);
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      document.execCommand("copy"); // from a file some browsers refuse the clipboard
    }
    copy.textContent = "Copied";
  });
  const line = document.createElement("p");
  line.className = "downloads";
  line.append(copy);
  command.after(line);
})();
