"use strict";
// What the page does by itself: draws the plots in the page's colours, shows a trial on hover and click, sorts and filters the table.
const data = JSON.parse(document.getElementById("payload").textContent);
const root = document.documentElement;
const tip = document.getElementById("tip");
const drawer = document.getElementById("drawer");
const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const escapeText = (value) => String(value).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const format = (value) => typeof value !== "number" ? String(value) : Number.isInteger(value) ? String(value) : Math.abs(value) >= 1000 ? value.toFixed(0) : String(+value.toPrecision(4));

function themed(layout) {
  const soft = colour("--soft"), line = colour("--line"), ink = colour("--ink");
  const out = { ...layout, font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: soft },
    hoverlabel: { bgcolor: colour("--paper"), bordercolor: line, font: { color: ink } } };
  for (const name of Object.keys(out).filter((key) => /^[xy]axis\d*$/.test(key)))
    out[name] = { ...out[name], gridcolor: line, linecolor: line, zeroline: false, ticks: "", tickfont: { color: soft }, title: { ...(out[name].title || {}), font: { size: 13, color: soft } } };
  out.annotations = (out.annotations || []).map((note) => ({ ...note, font: { ...(note.font || {}), color: note.text && note.yref === "paper" ? ink : soft, size: 12 } }));
  return out;
}

function drawPlots() {
  for (const box of document.querySelectorAll(".plot")) {
    const figure = data.figures[box.dataset.figure];
    const traces = figure.data.map((trace) => trace.customdata && trace.text && trace.type === "scatter" ? { ...trace, hoverinfo: "none", hovertemplate: null } : trace);
    Plotly.react(box, traces, themed(figure.layout), { displayModeBar: false, responsive: true });
    if (box.dataset.wired) continue;
    box.dataset.wired = "yes";
    box.on("plotly_hover", (event) => {
      const point = event.points[0];
      if (point.customdata === undefined || !point.text || point.data.type !== "scatter") return;
      const thumb = data.thumbs[point.customdata];
      tip.innerHTML = point.text + (thumb ? `<img alt="synthetic images of this trial, a line a class" src="${thumb}">` : "");
      tip.hidden = false;
      place(event.event);
      // The picture's height is known only once it is decoded.
      tip.querySelector("img")?.decode().then(() => place(event.event), () => {});
    });
    box.on("plotly_unhover", () => { tip.hidden = true; });
    box.on("plotly_click", (event) => {
      const number = event.points[0].customdata;
      if (number !== undefined && data.trials[number]) location.hash = `trial-${number}`;
    });
  }
}

function place(event) {
  const x = event.clientX + 18, y = event.clientY + 18;
  tip.style.left = `${x + tip.offsetWidth > innerWidth ? Math.max(8, event.clientX - tip.offsetWidth - 18) : x}px`;
  tip.style.top = `${y + tip.offsetHeight > innerHeight ? Math.max(8, innerHeight - tip.offsetHeight - 8) : y}px`;
}

const table = (rows) => rows.length ? `<table class="compact"><tbody>${rows.map(([name, value]) => `<tr><th>${escapeText(name)}</th><td class="num">${value}</td></tr>`).join("")}</tbody></table>` : "";

function confusion(trial) {
  return Object.entries(trial.confusion || {}).map(([split, matrix]) => {
    const head = trial.classes.map((name) => `<th title="${escapeText(name)}">${escapeText(name)}</th>`).join("");
    const rows = matrix.map((row, i) => {
      const sum = row.reduce((a, b) => a + b, 0) || 1;
      const cells = row.map((n, j) => `<td style="background:color-mix(in srgb, var(${i === j ? "--good" : "--bad"}) ${Math.round(60 * n / sum)}%, transparent)">${n}</td>`).join("");
      return `<tr><th>${escapeText(trial.classes[i])}</th>${cells}</tr>`;
    }).join("");
    return `<h3>Confusion on ${split === "val" ? "validation" : escapeText(split)}</h3><p class="caption">Rows are true classes, columns what the inspector said.</p>
      <div class="scroll"><table class="confusion"><thead><tr><th></th>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;
  }).join("");
}

function perClass(trial) {
  const names = Object.keys(data.labels).filter((name) => name.includes(".") && !name.includes("_floor") && name in (trial.scores || {}));
  const bases = [...new Set(names.map((name) => name.slice(0, name.indexOf("."))))];
  if (!bases.length) return "";
  const classes = [...new Set(names.map((name) => name.slice(name.indexOf(".") + 1)))];
  const head = bases.map((base) => `<th class="num">${escapeText((data.labels[`${base}.${classes[0]}`] || base).split(",")[0])}</th>`).join("");
  const rows = classes.map((cls) => `<tr><th>${escapeText(cls)}</th>${bases.map((base) => {
    const value = trial.scores[`${base}.${cls}`], floor = (trial.floors || {})[`${base}.${cls}`];
    return `<td class="num">${value === undefined ? "–" : format(value)}${floor !== undefined ? ` <span class="of">floor ${format(floor)}</span>` : ""}</td>`;
  }).join("")}</tr>`).join("");
  return `<h3>Class by class</h3><div class="scroll"><table class="compact"><thead><tr><th></th>${head}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

function openTrial(number) {
  const trial = data.trials[number];
  for (const row of document.querySelectorAll("tr.chosen")) row.classList.remove("chosen");
  if (!trial) { drawer.hidden = true; return; }
  for (const row of document.querySelectorAll(`tr[data-trial="${number}"]`)) row.classList.add("chosen");
  const known = trial.scores || {};
  const scores = Object.keys(data.labels).filter((name) => name in known && !name.includes("_floor") && !name.includes(".")).map((name) => {
    const floor = (trial.floors || {})[name];
    return [data.labels[name], format(known[name]) + (floor !== undefined ? ` <span class="of">floor ${format(floor)}</span>` : "")];
  });
  const settings = Object.entries(trial.params).map(([name, value]) => [name, escapeText(format(value))]);
  const rungs = Object.entries(trial.rungs || {}).map(([mark, score]) => [`${escapeText(mark)} kimg`, score === null ? "–" : escapeText(format(score))]);
  const conditions = Object.entries(trial.conditions || {}).map(([name, value]) => [name.replaceAll("_", " "), escapeText(format(value))]);
  const stages = (trial.stages || []).map((stage) => [`${stage.stage}${stage.cls ? ` ${stage.cls}` : ""}${stage.unit ? ` (unit ${stage.unit})` : ""}`,
    `${format(stage.seconds)} s${stage.reused ? ' <span class="of">reused</span>' : ""} <span class="of" title="${escapeText(stage.key)}">${escapeText(String(stage.key).slice(0, 8))}</span>`]);
  const thumb = data.thumbs[number];
  drawer.innerHTML = `<button type="button" class="close" aria-label="Close">close</button><h2>${escapeText(trial.title)}</h2>
    <p><span class="state ${escapeText(trial.state)}">${escapeText(trial.failure || trial.state)}</span> ${escapeText(trial.move)}${trial.parent === null ? "" : ` of <a class="trial" href="#trial-${trial.parent}">#${trial.parent}</a>`}
    · ${trial.seeds} seed${trial.seeds === 1 ? "" : "s"}</p><p class="caption">${escapeText(trial.reason)}</p>${[trial.message, ...Object.values(trial.health || {})].filter(Boolean).map((text) => `<p>${escapeText(text)}</p>`).join("")}
    ${thumb ? `<img alt="synthetic images, a line a class" src="${thumb}">` : ""}
    ${scores.length ? `<h3>Scores and costs</h3>${table(scores)}` : ""}
    ${settings.length ? `<h3>Settings</h3>${table(settings)}<p><button type="button" id="copy-settings">copy as a search.try entry</button></p>` : ""}
    ${perClass(trial)}${confusion(trial)}
    ${rungs.length ? `<h3>Rung scores</h3>${table(rungs)}` : ""}${conditions.length ? `<h3>Conditions</h3>${table(conditions)}` : ""}${stages.length ? `<h3>Stages</h3>${table(stages)}` : ""}`;
  drawer.hidden = false;
  drawer.scrollTop = 0;
  drawer.querySelector(".close").onclick = closeTrial;
  const button = drawer.querySelector("#copy-settings");
  if (button) button.onclick = () => copy(button, `- {${Object.entries(trial.params).map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(", ")}}`);
}

function closeTrial() {
  history.replaceState(null, "", location.pathname + location.search);
  openTrial(null);
}

function followHash() {
  const found = location.hash.match(/^#trial-(\d+)$/);
  if (found) openTrial(found[1]);
}

function copy(button, text) {
  const told = button.textContent;
  navigator.clipboard.writeText(text).then(() => { button.textContent = "copied"; }, () => { button.textContent = "select and copy by hand"; });
  setTimeout(() => { button.textContent = told; }, 1500);
}

function wireTable() {
  const body = document.querySelector("#table tbody"), rows = [...body.rows], shown = document.getElementById("shown"), filter = document.getElementById("filter");
  const count = () => { shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`; };
  filter.oninput = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count();
  };
  for (const head of document.querySelectorAll("#table thead th")) head.onclick = () => {
    const column = head.cellIndex, number = head.dataset.sort === "number", down = head.getAttribute("aria-sort") === "ascending";
    const value = (row) => { const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent.trim(); return number ? (text === "" || isNaN(text) ? null : Number(text)) : text; };
    for (const other of document.querySelectorAll("#table thead th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    // Rows without a value stay at the end whichever way the rest is sorted.
    rows.sort((a, b) => { const x = value(a), y = value(b); if (x === null || y === null) return (x === null) - (y === null); return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1); });
    body.append(...rows);
  };
  count();
}

function wirePicker() {
  const x = document.getElementById("pick-x"), y = document.getElementById("pick-y");
  if (!x) return;
  const names = Object.keys(data.objectives);
  for (const [select, chosen] of [[x, names[1]], [y, names[0]]])
    for (const name of names) select.add(new Option(data.labels[name] || name, name, name === chosen, name === chosen));
  x.onchange = y.onchange = () => {
    const figure = data.figures.pareto_front;
    const axis = (name) => `${data.labels[name] || name} (${data.objectives[name] === "maximize" ? "more" : "less"} is better)`;
    for (const trace of figure.data) if (trace.customdata) {
      trace.x = trace.customdata.map((number) => data.trials[number].scores[x.value]);
      trace.y = trace.customdata.map((number) => data.trials[number].scores[y.value]);
    }
    figure.layout = { ...figure.layout, shapes: [], annotations: [], xaxis: { ...figure.layout.xaxis, title: { text: axis(x.value) }, range: null, autorange: true }, yaxis: { ...figure.layout.yaxis, title: { text: axis(y.value) }, range: null, autorange: true } };
    drawPlots();
  };
}

for (const tab of document.querySelectorAll(".tabs button")) tab.onclick = () => {
  for (const other of document.querySelectorAll(".tabs button")) other.setAttribute("aria-selected", String(other === tab));
  for (const sheet of document.querySelectorAll(".sheet")) sheet.hidden = sheet.id !== `sheet-${tab.dataset.sheet}`;
};
for (const button of document.querySelectorAll("[data-copy]")) button.onclick = () => copy(button, document.getElementById(button.dataset.copy).textContent);
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-trial]");
  if (row && !event.target.closest("a")) location.hash = `trial-${row.dataset.trial}`;
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !drawer.hidden) closeTrial(); });
document.getElementById("theme").onclick = () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  drawPlots();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawPlots);
addEventListener("hashchange", followHash);
drawPlots();
wireTable();
wirePicker();
followHash();
