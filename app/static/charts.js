// What charts have in common: smoothing, one axis for lines with different steps, and the drawing of a plot.
import { $, span } from "./app.js";

export const FEW = 40; // a series with fewer points is drawn as it is, with dots
// TensorBoard's smoothing: an exponential mean with its start corrected.
export const smooth = (values, weight) => {
  let last = 0, n = 0;
  return values.map((value) => {
    if (value === null) return null;
    last = last * weight + (1 - weight) * value;
    n++;
    return last / (1 - weight ** n);
  });
};
const probe = document.createElement("i");
probe.hidden = true;
document.body.append(probe);
const token = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
const faint = (value) => value.replace(/^rgb\((.*)\)$/, "rgba($1, 0.32)");
const counted = (n) => n.toLocaleString("en-US");
export const number = (value) => (typeof value === "number" ? value : null);
const short = (n) => {
  const size = Math.abs(n);
  if (size >= 1e6) return `${+(n / 1e6).toFixed(2)}M`;
  if (size >= 1e4) return `${+(n / 1e3).toFixed(1)}k`;
  return String(+n.toPrecision(4));
};
const lasting = (seconds) => (seconds < 0 ? "−" : "") + span(Math.abs(seconds));
export const show = (value) => value === null || value === undefined ? "–" : Number.isInteger(value) && Math.abs(value) < 1e6 ? counted(value) : String(+value.toPrecision(5));

// Several lines of one chart may have different steps: they are laid over one common axis. `set` says which one
// (step, time of day, or seconds since `set.start`), how smooth, and whether upwards is by powers of ten.
export function table(lines, set) {
  const xs = new Set();
  const at = (one, i) => (set.axis === "step" ? one.step[i] : one.at_ms[i] / 1000 - (set.axis === "relative" ? set.start : 0));
  const up = set.log ? (value) => (value > 0 ? value : null) : (value) => value;
  for (const one of lines) for (let i = 0; i < one.step.length; i++) xs.add(at(one, i));
  const x = [...xs].sort((a, b) => a - b), place = new Map(x.map((value, i) => [value, i]));
  const data = [x];
  for (const one of lines) {
    const raw = new Array(x.length).fill(null);
    for (let i = 0; i < one.step.length; i++) raw[place.get(at(one, i))] = up(number(one.last[i]));
    data.push(raw, one.step.length < FEW ? raw : smooth(raw, Number(set.smoothing)));
  }
  return data;
}
// `lines` are series; `looks` says of each its colour (1 to 6), its dash where it has one, and whether it is `plain`:
// never dotted. With `set.zero` the scale begins there; `set.times` writes the axis of times.
export function draw(el, lines, looks, set) {
  const axis = { stroke: token("--faint"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter, sans-serif", gap: 4 };
  const options = [{}];
  lines.forEach((one, i) => {
    const line = token(`--c${looks[i].colour}`), few = one.step.length < FEW && !looks[i].plain, dash = looks[i].dash;
    options.push({ stroke: faint(line), width: 1, spanGaps: true, points: { show: few, size: 4.5, fill: line, stroke: line } });
    options.push({ stroke: line, width: 1.75, spanGaps: true, points: { show: false }, ...(dash ? { dash } : {}) });
  });
  el.classList.remove("wait");
  el.textContent = "";
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const isTime = set.axis === "time", along = set.axis === "relative" ? lasting : short;
  el.plot = new window.uPlot({
    width: el.clientWidth - 10, height: el.clientHeight - 8, series: options, padding: [8, set.times ? 22 : 8, 0, 0], legend: { show: false },
    cursor: { sync: { key: "run" }, points: { size: 6 }, drag: { x: true, y: false } },
    scales: { x: { time: isTime }, y: set.zero ? { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } : set.log ? { distr: 3, log: 10 } : {} },
    axes: [{ ...axis, size: 24, space: 70, ...(isTime ? set.times ? { values: set.times } : {} : { values: (u, v) => v.map(along) }) }, { ...axis, size: 46, space: 34, values: (u, v) => v.map((one) => (one === null ? "" : short(one))) }],
    hooks: { setCursor: [(u) => {
      const i = u.cursor.idx;
      tip.hidden = i === null || i === undefined;
      if (tip.hidden) return;
      const at = u.data[0][i], x = isTime ? new Date(at * 1000).toLocaleTimeString() : set.axis === "relative" ? lasting(at) : counted(at);
      tip.textContent = `${x} · ${lines.map((one, k) => show(u.data[1 + 2 * k][i])).join(" · ")}`;
    }] },
  }, table(lines, set), el);
  el.append(tip);
}
export const sizes = (plots) => { for (const el of plots) el.plot.setSize({ width: el.clientWidth - 10, height: el.clientHeight - 8 }); };
export const slider = $("#smoothing");
