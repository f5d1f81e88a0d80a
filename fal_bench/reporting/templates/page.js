(() => {
  "use strict";

  const memory = JSON.parse(document.getElementById("memory").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  // What is printed is light, whatever the screen shows.
  const paper = document.getElementById("paper");
  const screen = document.documentElement;
  const colour = (name, on) => getComputedStyle(on).getPropertyValue(`--${name}`).trim();

  // What is shown: the step of the board, filters, and the strategies in colour. A strategy keeps
  // its colour while others come and go, so each holds the place of a colour.
  const controls = [...document.querySelectorAll("[data-control]")];
  const boxes = [...document.querySelectorAll("#switches input")];
  const baseline = String(memory.baseline);
  const atFirst = memory.chosen.map(String);
  const state = { step: 0, task: "", family: "", find: "", slots: [] };
  const choose = (places) => {
    state.slots = places.filter((place) => place !== baseline);
    for (const box of boxes) box.checked = places.includes(box.value);
  };
  const toggle = (place, on) => {
    if (place === baseline) return;
    if (!on) {
      state.slots[state.slots.indexOf(place)] = null;
      return;
    }
    const free = state.slots.indexOf(null);
    state.slots[free < 0 ? state.slots.length : free] = place;
  };
  const shown = (place) => boxes.find((box) => box.value === place)?.checked ?? false;

  // The same rule as in line_styles of the Python side.
  const style = (place) => {
    if (!shown(place)) return { colour: "var(--others)", dash: "", marker: "circle", width: 1 };
    if (place === baseline) return { colour: "var(--text)", dash: "5 3", marker: "circle", width: 3 };
    const number = state.slots.indexOf(place);
    const again = Math.floor(number / memory.colours.length);
    return {
      colour: memory.colours[number % memory.colours.length],
      dash: memory.dashes[again % memory.dashes.length],
      marker: memory.markers[(number + 2 * again) % memory.markers.length],
      width: 2,
    };
  };

  // Parts of the page that differ from step to step.
  const places = [...document.querySelectorAll(".place")].map((place) => ({
    place,
    parts: [...place.children].map((part) => ({
      steps: part.dataset.steps.split(" ").map(Number),
      node: part.tagName === "TEMPLATE" ? null : part,
      template: part,
    })),
  }));
  const nodeOf = (part) => {
    if (!part.node) {
      part.node = part.template.content.firstElementChild;
      tables.prepare(part.node);
      listen(part.node);
    }
    return part.node;
  };
  const step = () => {
    for (const { place, parts } of places) {
      const node = nodeOf(parts.find((part) => part.steps.includes(state.step)));
      if (place.firstElementChild !== node || place.children.length > 1) place.replaceChildren(node);
    }
  };

  // A row is seen if its strategy is of the family, and its name holds what is looked for.
  const filter = () => {
    const wanted = state.find.trim().toLowerCase();
    const seen = (place) =>
      (!state.family || memory.families[place] === state.family) &&
      memory.names[place].toLowerCase().includes(wanted);
    const all = Object.keys(memory.names);
    const left = all.filter(seen);
    for (const row of document.querySelectorAll("main tr[data-place], #switches [data-place]")) {
      row.hidden = !left.includes(row.dataset.place);
    }
    const count = left.length < all.length ? `${left.length} of ${all.length} strategies` : "";
    document.getElementById("count").textContent = count;
  };

  const only = () => {
    const figures = [...document.querySelectorAll("figure[data-task]")];
    const known = figures.some((one) => one.dataset.task === state.task);
    for (const one of figures) {
      const alone = known && one.dataset.task === state.task;
      one.hidden = known && !alone;
      const plot = one.querySelector(".plot");
      plot.dataset.height ??= plot.style.height;
      plot.style.height = alone ? "430px" : plot.dataset.height;
      one.parentElement.classList.toggle("alone", known);
    }
  };

  // The address holds what is not as at first.
  const address = () => {
    const now = new URLSearchParams();
    const settings = memory.steps[state.step];
    for (const name of ["target", "labels"]) {
      if (settings[name] !== memory.steps[0][name]) now.set(name, settings[name]);
    }
    for (const name of ["task", "family", "find"]) if (state[name]) now.set(name, state[name]);
    const places = boxes.filter((box) => box.checked).map((box) => box.value);
    if (places.join() !== [...atFirst].sort((a, b) => a - b).join()) now.set("show", places.join(" "));
    const text = String(now);
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  // Of the boards that have a setting, the one that agrees most with the others.
  const nearest = (wanted, first) => {
    const agreement = (one) =>
      Object.keys(wanted).reduce(
        (sum, name) => sum + (one[name] === wanted[name]) * (name === first ? 10 : 1),
        0,
      );
    const best = Math.max(...memory.steps.map(agreement));
    return memory.steps.findIndex((one) => agreement(one) === best);
  };
  const wants = () => ({ ...memory.steps[state.step], task: state.task });
  const show = () => {
    step();
    filter();
    only();
    const settings = { ...wants(), family: state.family, find: state.find };
    for (const control of controls) {
      if (control.value !== settings[control.dataset.control]) {
        control.value = settings[control.dataset.control];
      }
    }
    swatches();
    draw();
  };
  const set = (name, value) => {
    if (name === "family" || name === "find") {
      state[name] = value;
    } else {
      state.step = nearest({ ...wants(), [name]: value }, name);
      state.task = name === "task" ? value : memory.steps[state.step].task;
    }
    show();
    address();
  };
  for (const control of controls) {
    control.addEventListener("input", () => set(control.dataset.control, control.value));
  }
  const restore = () => {
    const now = new URLSearchParams(location.hash.slice(1));
    if (location.hash && !location.hash.includes("=")) return false;
    const wanted = { ...memory.steps[0] };
    for (const name of ["target", "labels", "task"]) if (now.has(name)) wanted[name] = now.get(name);
    state.task = wanted.task;
    state.step = nearest(wanted, now.has("target") ? "target" : "task");
    state.family = now.get("family") ?? "";
    state.find = now.get("find") ?? "";
    choose(now.has("show") ? now.get("show").split(" ") : atFirst);
    return true;
  };
  addEventListener("hashchange", () => restore() && show());
  // Links within the page move it, and leave what is shown in the address.
  for (const link of document.querySelectorAll('nav a[href^="#"]')) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const target = document.getElementById(link.hash.slice(1));
      target.scrollIntoView();
      target.tabIndex = -1;
      target.focus({ preventScroll: true });
    });
  }

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
  const write = (layout, values) => {
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
  const plots = () =>
    [...document.querySelectorAll("[data-figure]")].filter((plot) => plot.getClientRects().length);

  // The drawing library is three quarters smaller as gzip; inline, it needs no request.
  const load = async () => {
    const packed = atob(document.getElementById("plotly").textContent);
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  };

  // An axis of labels ends at the furthest chosen line; it is logarithmic if that squeezes others.
  const reach = (layout, data) => {
    const { usual, start, log_start, squeezed } = layout.meta;
    const seen = data.filter((trace) => trace.visible !== false && shown(trace.legendgroup));
    const far = Math.max(usual, ...seen.map((trace) => 1.02 * (trace.meta?.reach ?? 0)));
    const wide = far > squeezed * usual;
    write(layout, {
      "xaxis.type": wide ? "log" : "linear",
      ...(wide ? { "xaxis.tickvals": ticks(log_start, far) } : {}),
      "xaxis.range": wide ? [Math.log10(log_start), Math.log10(1.03 * far)] : [start, far],
      "xaxis.title.text": layout.xaxis.title.text + (wide ? ", log scale" : ""),
    });
  };

  const ticks = (low, high) => {
    const found = [];
    for (let ten = 10 ** Math.floor(Math.log10(low)); ten <= high; ten *= 10) {
      found.push(ten, 2 * ten, 5 * ten);
    }
    return found;
  };

  const faint = (hex) => {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${red},${green},${blue},0.13)`;
  };
  // Chosen strategies have colours, bands and points; the others are thin grey lines below them.
  const dressed = (trace) => {
    const own = shown(trace.legendgroup);
    const look = style(trace.legendgroup);
    const part = trace.meta?.part;
    if (part) trace.visible = own;
    if (part === "band") {
      trace.fillcolor = look.colour.startsWith("#") ? faint(look.colour) : "var(--band)";
      return trace;
    }
    if (part === "ticks") {
      write(trace, { "marker.color": look.colour, "marker.line.color": look.colour });
      return trace;
    }
    const dash = look.dash ? look.dash.split(" ").map((length) => `${length}px`).join() : "solid";
    write(trace, { "line.color": look.colour, "line.width": look.width, "line.dash": dash });
    if (trace.marker) write(trace, { "marker.symbol": look.marker, "marker.color": look.colour });
    if (!own) trace.mode = trace.mode.includes("lines") ? "lines" : "markers";
    return trace;
  };
  const painted = (value, on) => {
    if (typeof value === "string") {
      const name = value.match(/^var\(--([a-z]+)\)$/);
      return name ? colour(name[1], on) : value;
    }
    if (Array.isArray(value)) return value.map((one) => painted(one, on));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, painted(one, on)]));
  };

  // A figure's data and layout in the colours of the screen or of paper.
  const figure = (plot, on) => {
    const found = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const lines = found.data.map((one) => (one.legendgroup === undefined ? one : dressed(one)));
    const above = (one) => one.legendgroup === undefined || shown(one.legendgroup);
    // Of two neighbours the lower one has its name below, the upper one above.
    const named = lines.filter((one) => one.textposition && above(one)).sort((one, other) => one.y[0] - other.y[0]);
    named.forEach((one, place) => {
      if (place % 2 === 0) one.textposition = one.textposition.replace("top", "bottom");
    });
    const data = painted([...lines.filter((one) => !above(one)), ...lines.filter(above)], on);
    const layout = painted(found.layout, on);
    if (layout.meta) reach(layout, data);
    if (phone.matches && plot.closest(".wide")) {
      write(layout, { "xaxis.tickfont.size": 11, "yaxis.tickfont.size": 11, "margin.l": 4 });
    }
    if (phone.matches && plot.closest(".many:not(.alone)")) {
      write(layout, {
        "font.size": 9, "title.font.size": 10, "xaxis.title.text": "", "yaxis.title.text": "",
        "margin.l": 32, "margin.r": 4, "margin.b": 28, "margin.t": 26, "xaxis.nticks": 4,
      });
    }
    write(layout, { ...theme(on), dragmode: touch ? false : "zoom", uirevision: "reader" });
    return { data, layout };
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
    if (!window.Plotly) return;
    for (const plot of plots()) {
      const { data, layout } = figure(plot, screen);
      const first = !plot.data;
      Plotly.react(plot, data, layout, config);
      if (first) plot.on("plotly_afterplot", () => pin(plot));
      pin(plot);
    }
  };
  dark.addEventListener("change", draw);

  // Paper has the width of a page, and no one to scroll a figure.
  const printed = 680;
  addEventListener("beforeprint", () => {
    if (!window.Plotly) return;
    for (const plot of plots()) {
      const { data, layout } = figure(plot, paper);
      const width = plot.closest(".several:not(.alone)") ? printed / 2 - 10 : printed;
      const height = parseInt(plot.style.height) || 400;
      Object.assign(layout, { width, height, autosize: false });
      Plotly.react(plot, data, layout, config);
    }
  });
  addEventListener("afterprint", draw);

  // On the page the switches are the legend of line figures; a saved image needs one of its own,
  // with room for every chosen line, and says what it shows.
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const save = (button) => {
    const plot = document.getElementById(button.dataset.plot);
    const { data, layout } = figure(plot, screen);
    for (const one of data) {
      if (one.legendgroup !== undefined && !shown(one.legendgroup)) one.showlegend = false;
    }
    const named = data.filter((one) => one.visible !== false && one.name && one.showlegend !== false);
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
  // What a part of the page reacts to, once it is in the page.
  const listen = (root) => {
    for (const button of root.querySelectorAll("[data-save]")) {
      button.addEventListener("click", () => save(button));
    }
    for (const one of root.querySelectorAll("details")) one.addEventListener("toggle", draw);
  };

  const swatches = () => {
    for (const box of boxes) {
      const look = style(box.value);
      const [line, marker] = box.parentElement.querySelectorAll("path");
      line.setAttribute("stroke", look.colour);
      line.setAttribute("stroke-width", look.width);
      line.setAttribute("stroke-dasharray", look.dash || "none");
      marker.setAttribute("fill", look.colour);
      marker.style.display = box.checked ? "" : "none";
    }
  };
  const chosen = () => {
    swatches();
    draw();
    address();
  };
  for (const box of boxes) {
    box.addEventListener("change", () => {
      toggle(box.value, box.checked);
      chosen();
    });
  }
  const everyone = boxes.map((box) => box.value);
  const sets = { all: everyone, none: [], first: atFirst };
  for (const button of document.querySelectorAll("[data-switch]")) {
    button.addEventListener("click", () => {
      choose(sets[button.dataset.switch]);
      chosen();
    });
  }

  tables.prepare(document);
  listen(document);
  document.getElementById("bar").hidden = false;
  choose(atFirst);
  restore();
  show();
  load().then(draw, () => {
    document.getElementById("old-browser").hidden = false;
  });
})();
