"use strict";
// Paints Plotly's figures in the colours of the page, and lets the reader move the threshold.
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const dial = document.getElementById("dial");
  const explorer = dial ? read("explorer-data") : null;
  const options = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
  let threshold = explorer ? explorer.marked : 0;

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // As `percent` of gd2po.report.wording.
  const percent = (share) => {
    if (share === null) return "–";
    if (share < 0) return `−${percent(-share)}`;
    if (share > 0 && share < 0.001) return "<0.1%";
    if (share > 0.999 && share < 1) return ">99.9%";
    const digits = (share > 0 && share < 0.0995) || (share >= 0.9905 && share < 1) ? 1 : 0;
    return `${(100 * share).toFixed(digits)}%`;
  };

  function painted(figure) {
    const data = figure.data.map((source) => {
      const trace = { ...source };
      const meta = trace.meta || {};
      if (meta.colour) {
        const colour = css(meta.colour);
        if (trace.type === "bar") trace.marker = { ...trace.marker, color: colour, line: { width: 0 } };
        else trace.line = { ...trace.line, color: colour };
        if (trace.fill) trace.fillcolor = `${colour}26`;
      }
      if (meta.scale === "sequential") trace.colorscale = [[0, css("low")], [1, css("high")]];
      if (meta.scale === "diverging")
        trace.colorscale = [[0, css("negative")], [0.5, css("zero")], [1, css("positive")]];
      return trace;
    });
    const layout = JSON.parse(JSON.stringify(figure.layout));
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.font = { ...layout.font, color: css("soft") };
    layout.hoverlabel = {
      bgcolor: css("card"), bordercolor: css("line"), font: { color: css("ink"), family: layout.font.family, size: 13 },
    };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) Object.assign(layout[key], { gridcolor: css("line"), linecolor: css("line") });
    }
    return { data, layout };
  }

  const line = (x, dash, width, colour) => ({
    type: "line", x0: x, x1: x, y0: 0, y1: 1, xref: "x", yref: "paper", line: { color: colour, width, dash },
  });

  function markers() {
    const shapes = [line(threshold, "solid", 2, css("ink"))];
    if (explorer.recommended > 0) shapes.push(line(explorer.recommended, "dot", 1.5, css("muted")));
    return shapes;
  }

  function draw() {
    for (const [id, figure] of Object.entries(charts)) {
      const { data, layout } = painted(figure);
      if (id === "explorer") layout.shapes = markers();
      Plotly.react(id, data, layout, options);
    }
  }

  function setBar(id, share) {
    document.getElementById(id).textContent = percent(share);
    document.getElementById(`${id}-bar`).style.width = `${100 * (share === null ? 0 : share)}%`;
  }

  function move(value, redraw = true) {
    threshold = Number(value);
    const at = Math.round(100 * threshold);
    dial.value = threshold;
    document.getElementById("dial-value").textContent = threshold.toFixed(2);
    setBar("kept", explorer.keep[at]);
    explorer.rewards.forEach((reward, index) => {
      setBar(`signal-${index}`, reward.retained[at]);
      setBar(`penalty-${index}`, reward.retainedNegative[at]);
    });
    for (const rollout of document.querySelectorAll("[data-snr]")) {
      const dropped = rollout.dataset.snr !== "" && Number(rollout.dataset.snr) < threshold;
      rollout.classList.toggle("dropped", dropped);
      rollout.querySelector(".fate").textContent = dropped ? `dropped at ${threshold.toFixed(2)}` : "kept";
    }
    if (redraw) Plotly.relayout("explorer", { shapes: markers() });
  }

  if (dial) {
    move(threshold, false);
    dial.addEventListener("input", () => move(dial.value));
    for (const button of document.querySelectorAll("[data-threshold]"))
      button.addEventListener("click", () => move(button.dataset.threshold));
  }
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  document.documentElement.dataset.ready = "true";
})();
