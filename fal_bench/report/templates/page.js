(() => {
  "use strict";

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // Figures take the page's own colours, so that both follow the reader's theme together.
  const theme = () => ({
    "font.color": colour("text"),
    "hoverlabel.bgcolor": colour("surface"),
    "hoverlabel.bordercolor": colour("line"),
    "hoverlabel.font.color": colour("text"),
    ...Object.fromEntries(
      ["xaxis", "yaxis"].flatMap((axis) => [
        [`${axis}.gridcolor`, colour("grid")],
        [`${axis}.linecolor`, colour("line")],
        [`${axis}.spikecolor`, colour("quiet")],
      ]),
    ),
  });

  // Write {"a.b": 1} into {a: {}} as plotly's relayout would.
  const set = (layout, values) => {
    for (const [path, value] of Object.entries(values)) {
      const names = path.split(".");
      const last = names.pop();
      names.reduce((at, name) => (at[name] ??= {}), layout)[last] = value;
    }
    return layout;
  };

  const config = { responsive: true, displayModeBar: false, displaylogo: false };
  // On touch screens dragging scrolls the page instead of zooming into a figure.
  const touch = matchMedia("(pointer: coarse)").matches;
  const boxes = [...document.querySelectorAll("#switches input")];
  const plots = [...document.querySelectorAll("[data-figure]")];

  // Numbers written on coloured fields need the theme's colour too.
  const fields = (data) => data.flatMap((trace, i) => (trace.type === "heatmap" ? [i] : []));

  // The drawing library is three quarters smaller as gzip; inline, it needs no request.
  const load = async () => {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  const draw = () => {
    for (const plot of plots) {
      const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
      for (const i of fields(data)) data[i].textfont = { color: colour("text") };
      const themed = set({ ...layout, dragmode: touch ? false : "zoom" }, theme());
      Plotly.newPlot(plot, data, themed, config);
    }
    // A browser may bring boxes back unticked when a page is loaded again.
    if (boxes.some((box) => !box.checked)) show();
  };

  dark.addEventListener("change", () => {
    for (const plot of plots.filter((one) => one.data)) {
      const places = fields(plot.data);
      const style = places.length ? { "textfont.color": colour("text") } : {};
      Plotly.update(plot, style, theme(), places);
    }
  });

  // On the page the switches are the legend of line figures; a saved image needs one of its own.
  const save = (button) => {
    const plot = document.getElementById(button.dataset.plot);
    const layout = {
      ...plot.layout,
      showlegend: plot.data.some((trace) => trace.legendgroup ?? trace.name),
      paper_bgcolor: colour("background"),
    };
    const size = { width: 960, height: Math.max(540, plot.clientHeight) };
    Plotly.downloadImage(
      { data: plot.data, layout: { ...layout, ...size } },
      { format: button.dataset.save, scale: 2, ...size, filename: plot.dataset.file },
    );
  };
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(button));
  }

  const show = () => {
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    for (const plot of plots.filter((one) => one.data)) {
      const places = plot.data.flatMap((trace, i) => (trace.legendgroup === undefined ? [] : [i]));
      if (!places.length) continue;
      const visible = places.map((i) => shown.has(plot.data[i].legendgroup));
      Plotly.restyle(plot, { visible }, places);
    }
  };
  for (const box of boxes) box.addEventListener("change", show);
  for (const button of document.querySelectorAll("[data-switch]")) {
    button.addEventListener("click", () => {
      for (const box of boxes) box.checked = button.dataset.switch === "all";
      show();
    });
  }
  // Sorting: a click on a heading; within each body, so that incomplete strategies stay apart.
  const number = (cell) => (cell.dataset.value === undefined ? null : Number(cell.dataset.value));
  const text = (cell) => cell.dataset.text ?? cell.textContent.trim();
  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (a !== null && b !== null) return a - b;
    return text(one).localeCompare(text(other), "en", { numeric: true });
  };

  const sort = (table, column, heading) => {
    const down = heading.getAttribute("aria-sort") === "ascending";
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

  load().then(draw, () => {
    document.getElementById("old-browser").hidden = false;
  });
})();
