(() => {
  "use strict";

  const dark = matchMedia("(prefers-color-scheme: dark)");

  // Figures take the page's own colours, so that both follow the reader's theme together.
  const theme = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const axis = (name) => ({
      [`${name}.gridcolor`]: colour("grid"),
      [`${name}.linecolor`]: colour("line"),
    });
    return {
      "font.color": colour("text"),
      "shapes[0].line.color": colour("quiet"),
      "modebar.color": colour("quiet"),
      "modebar.activecolor": colour("text"),
      "hoverlabel.bgcolor": colour("surface"),
      "hoverlabel.bordercolor": colour("line"),
      "hoverlabel.font.color": colour("text"),
      "xaxis.spikecolor": colour("quiet"),
      ...axis("xaxis"),
      ...axis("yaxis"),
    };
  };

  // On the page the table below a figure is its legend; a saved image needs one of its own.
  const save = {
    name: "Save as image",
    icon: Plotly.Icons.camera,
    click: (plot) => Plotly.downloadImage(
      {
        data: plot.data,
        layout: {
          ...plot.layout,
          showlegend: true,
          paper_bgcolor: getComputedStyle(document.body).backgroundColor,
        },
      },
      { format: "png", scale: 2, width: 900, height: 500, filename: plot.dataset.file },
    ),
  };

  const config = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [[save, "zoom2d", "pan2d", "resetScale2d"]],
  };

  const plots = [...document.querySelectorAll("[data-figure]")];

  for (const plot of plots) {
    const { data, layout } = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    Plotly.newPlot(plot, data, layout, config).then(() => Plotly.relayout(plot, theme()));
  }

  dark.addEventListener("change", () => {
    for (const plot of plots) Plotly.relayout(plot, theme());
  });

  const show = (box) => {
    const plot = document.getElementById(box.dataset.plot);
    const traces = plot.data.flatMap((trace, i) => (trace.legendgroup === box.value ? [i] : []));
    Plotly.restyle(plot, { visible: box.checked }, traces);
  };

  for (const box of document.querySelectorAll("input[data-plot]")) {
    // A browser may bring boxes back unticked when a page is loaded again.
    if (!box.checked) show(box);
    box.addEventListener("change", () => show(box));
  }
})();
