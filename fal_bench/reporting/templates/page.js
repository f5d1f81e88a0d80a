(() => {
  "use strict";

  const dark = matchMedia("(prefers-color-scheme: dark)");
  // What is printed is light, whatever the screen shows.
  const paper = document.getElementById("paper");
  const screen = document.documentElement;
  const colour = (name, on) => getComputedStyle(on).getPropertyValue(`--${name}`).trim();

  // Figures take the page's own colours, so that both follow the reader's theme together.
  const theme = (on) => ({
    "font.color": colour("text", on),
    "hoverlabel.bgcolor": colour("surface", on),
    "hoverlabel.bordercolor": colour("line", on),
    "hoverlabel.font.color": colour("text", on),
    ...Object.fromEntries(
      ["xaxis", "yaxis"].flatMap((axis) => [
        [`${axis}.gridcolor`, colour("grid", on)],
        [`${axis}.linecolor`, colour("line", on)],
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
  const phone = matchMedia("(max-width: 40rem)");
  const boxes = [...document.querySelectorAll("#switches input")];
  const plots = [...document.querySelectorAll("[data-figure]")];

  // The drawing library is three quarters smaller as gzip; inline, it needs no request.
  const load = async () => {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  // Which strategies are shown, and which of them with a band: of many only those shown at first.
  const many = 10;
  const chosen = () => {
    const ticked = boxes.filter((box) => box.checked);
    const banded = ticked.length > many ? ticked.filter((box) => box.defaultChecked) : ticked;
    const values = (some) => new Set(some.map((box) => box.value));
    return { shown: values(ticked), banded: values(banded) };
  };
  const visible = (trace, { shown, banded }) =>
    (trace.meta?.part === "band" ? banded : shown).has(trace.legendgroup);

  // An axis of labels ends at the furthest line shown; it is logarithmic if that squeezes others.
  const reach = (data, { usual, start, log_start, squeezed }) => {
    const seen = data.filter((trace) => trace.visible !== false);
    const far = Math.max(usual, ...seen.map((trace) => 1.02 * (trace.meta?.reach ?? 0)));
    const wide = far > squeezed * usual;
    return {
      "xaxis.type": wide ? "log" : "linear",
      "xaxis.dtick": wide ? "D2" : null,
      "xaxis.range": wide ? [Math.log10(log_start), Math.log10(1.03 * far)] : [start, far],
    };
  };

  // A figure's data and layout in the colours of the screen or of paper.
  const figure = (plot, on) => {
    const text = document.getElementById(plot.dataset.figure).textContent;
    const { data, layout } = JSON.parse(text, (key, value) => {
      const name = typeof value === "string" && value.match(/^var\(--([a-z]+)\)$/);
      return name ? colour(name[1], on) : value;
    });
    const now = chosen();
    for (const trace of data) {
      if (trace.legendgroup !== undefined) trace.visible = visible(trace, now);
    }
    if (layout.meta) set(layout, reach(data, layout.meta));
    if (phone.matches && plot.closest(".wide")) {
      set(layout, { "xaxis.tickfont.size": 11, "yaxis.tickfont.size": 11, "margin.l": 4 });
    }
    set(layout, { ...theme(on), dragmode: touch ? false : "zoom", uirevision: "reader" });
    return { data, layout };
  };

  const legends = [...document.querySelectorAll(".legend [data-group]")];
  const listed = () => {
    const { shown } = chosen();
    for (const entry of legends) entry.hidden = !shown.has(entry.dataset.group);
  };

  // A figure that is wider than its place is scrolled; a copy of its row names stays at the left.
  const pin = (plot) => {
    const pinned = plot.parentElement.querySelector(".pinned");
    if (!pinned) return;
    pinned.replaceChildren();
    const names = plot.querySelector(".yaxislayer-above");
    if (!names || plot.clientWidth <= pinned.closest(".scroll").clientWidth) return;
    const edge = names.getBoundingClientRect().right - plot.getBoundingClientRect().left;
    const copy = plot.querySelector(".main-svg").cloneNode(false);
    copy.removeAttribute("style"); // its background is transparent
    copy.setAttribute("width", Math.ceil(edge));
    copy.append(names.cloneNode(true));
    pinned.append(copy);
  };

  const draw = () => {
    listed();
    for (const plot of plots) {
      const { data, layout } = figure(plot, screen);
      const first = !plot.data;
      Plotly.react(plot, data, layout, config);
      if (first) plot.on("plotly_afterplot", () => pin(plot));
      pin(plot);
    }
  };
  const redraw = () => window.Plotly && draw();
  dark.addEventListener("change", redraw);

  // Paper has the width of a page, and no one to scroll a figure.
  const printed = 680;
  addEventListener("beforeprint", () => {
    if (!window.Plotly) return;
    for (const plot of plots) {
      const { data, layout } = figure(plot, paper);
      const width = plot.closest(".several") ? printed / 2 - 10 : printed;
      const height = parseInt(plot.style.height) || 400;
      Object.assign(layout, { width, height, autosize: false });
      Plotly.react(plot, data, layout, config);
    }
  });
  addEventListener("afterprint", redraw);

  // On the page the switches are the legend of line figures; a saved image needs one of its own,
  // with room for everyone, and says what it shows.
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const save = (button) => {
    const plot = document.getElementById(button.dataset.plot);
    const { data, layout } = figure(plot, screen);
    const named = data.filter((trace) => trace.visible !== false && trace.name);
    const lines = named.some((trace) => trace.legendgroup !== undefined);
    const title = `${escaped(plot.dataset.file)}<br><sup>${escaped(document.title)}</sup>`;
    const top = 80 + (layout.legend ? 30 : 0);
    const size = {
      width: 1100,
      height: Math.max(560, plot.clientHeight + 60, lines ? top + 80 + 21 * named.length : 0),
    };
    const y = 1 - 24 / size.height;
    Object.assign(layout, {
      title: { text: title, x: 0.01, xanchor: "left", y, yref: "container", yanchor: "top" },
      legend: { ...layout.legend, tracegroupgap: 0 },
      margin: { ...layout.margin, t: top + (layout.xaxis.side === "top" ? 40 : 0) },
      showlegend: named.length > 0,
      paper_bgcolor: colour("background", screen),
      plot_bgcolor: colour("background", screen),
    });
    Plotly.downloadImage(
      { data, layout: { ...layout, ...size, autosize: false } },
      { format: button.dataset.save, scale: 2, ...size, filename: plot.dataset.file },
    );
  };
  for (const button of document.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => save(button));
  }

  const show = () => {
    const now = chosen();
    listed();
    for (const plot of plots.filter((one) => one.data)) {
      const places = plot.data.flatMap((trace, i) => (trace.legendgroup === undefined ? [] : [i]));
      if (!places.length) continue;
      const seen = places.map((i) => visible(plot.data[i], now));
      const drawn = places.map((i, at) => ({ ...plot.data[i], visible: seen[at] }));
      Plotly.update(
        plot,
        { visible: seen },
        plot.layout.meta ? reach(drawn, plot.layout.meta) : {},
        places,
      );
    }
  };
  for (const box of boxes) box.addEventListener("change", show);
  for (const button of document.querySelectorAll("[data-switch]")) {
    button.addEventListener("click", () => {
      const name = button.dataset.switch;
      for (const box of boxes) box.checked = name === "first" ? box.defaultChecked : name === "all";
      show();
    });
  }

  load().then(draw, () => {
    document.getElementById("old-browser").hidden = false;
  });
})();
