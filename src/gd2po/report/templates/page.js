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
        if (trace.type !== "bar" && trace.marker) trace.marker = { ...trace.marker, color: colour };
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

  // Labels of a heatmap that fit: names where there is room, else numbers with a key below.
  const LETTER = 7.5, ROOM = 44, LEAST_ROOM = 36, TICK = 18;
  function fit(id, data, layout) {
    const names = layout.meta && layout.meta.names;
    if (!names) return;
    const element = document.getElementById(id), width = element.clientWidth;
    const longest = LETTER * Math.max(...names.map((name) => name.length)) + 12;
    const numbered = (width - longest) / names.length < ROOM;
    const cell = (width - (numbered ? 32 : longest)) / names.length;
    const every = Math.ceil(TICK / cell);
    const shown = names.map((_, index) => index).filter((index) => index % every === 0);
    for (const axis of [layout.xaxis, layout.yaxis]) {
      axis.tickvals = numbered ? shown : names.map((_, index) => index);
      axis.ticktext = numbered ? shown.map((index) => String(index + 1)) : layout.meta.labels;
    }
    layout.xaxis.tickangle = numbered || cell >= longest ? 0 : -40;
    if (data[0].texttemplate) {
      data[0].texttemplate = cell < LEAST_ROOM ? "" : data[0].texttemplate;
      data[0].textfont = { size: cell < ROOM ? 11 : 13 };
    }
    element.parentElement.querySelector(".numbers").classList.toggle("shown", numbered);
  }

  // The page of a run that goes on loads itself again, and looks as the reader left it. A file cannot be asked whether
  // it has changed, so it does so every few seconds, unless the reader is at work in it or somewhere else.
  function follow(seconds) {
    const key = `left ${location.pathname}`;
    const title = (details) => details.querySelector("summary").textContent;
    const left = JSON.parse(sessionStorage.getItem(key) || "null");
    let moved = left ? left.threshold : null, touched = 0;
    if (left) {
      for (const details of document.querySelectorAll("details")) details.open = left.open.includes(title(details));
      if (dial && moved !== null) move(moved);
      scrollTo(0, left.scroll);
    }
    if (dial) {
      const remember = () => { moved = threshold; };
      dial.addEventListener("input", remember);
      for (const button of document.querySelectorAll("[data-threshold]")) button.addEventListener("click", remember);
    }
    for (const type of ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"])
      addEventListener(type, () => { touched = performance.now(); }, { passive: true });
    setInterval(() => {
      if (document.hidden || performance.now() - touched < 1000 * seconds) return;
      const open = [...document.querySelectorAll("details[open]")].map(title);
      sessionStorage.setItem(key, JSON.stringify({ open, scroll: scrollY, threshold: moved }));
      location.reload();
    }, 1000 * seconds);
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
      fit(id, data, layout);
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
  let later;
  addEventListener("resize", () => { clearTimeout(later); later = setTimeout(draw, 150); });
  const copy = document.getElementById("copy");
  if (copy)
    copy.addEventListener("click", () => {
      const paste = document.getElementById("to-paste");
      getSelection().selectAllChildren(paste); // what is left to do where the clipboard is closed
      const done = () => { copy.textContent = "Copied"; };
      if (navigator.clipboard) navigator.clipboard.writeText(paste.textContent).then(done, () => {});
    });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  if (document.documentElement.dataset.reload) follow(Number(document.documentElement.dataset.reload));
  document.documentElement.dataset.ready = "true";
})();
