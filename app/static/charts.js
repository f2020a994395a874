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
// Colours are asked for once: each question makes the browser work out the styles of the page.
const colours = new Map();
const forget = () => colours.clear();
document.addEventListener("berth:theme", forget);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", forget);
const token = (name) => {
  if (!colours.has(name)) { probe.style.color = `var(${name})`; colours.set(name, getComputedStyle(probe).color); }
  return colours.get(name);
};
const faint = (value, much = 0.32) => value.replace(/^rgb\((.*)\)$/, `rgba($1, ${much})`);
// Gives the browser a turn: what is drawn one by one never holds up a key or a click.
export const turn = () => new Promise((done) => { requestAnimationFrame(() => setTimeout(done)); });
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
// (step, time of day, or seconds since `set.start`), how smooth, and whether upwards is by powers of ten. For each line
// there is what was measured and the same smoothed; behind them, for those that the server reduced, greatest and least
// of each part. `bad` are the places of what is no number.
export function table(lines, set) {
  const xs = new Set();
  const at = (one, i) => (set.axis === "step" ? one.step[i] : one.at_ms[i] / 1000 - (set.axis === "relative" ? set.start : 0));
  const up = set.log ? (value) => (value > 0 ? value : null) : (value) => value;
  for (const one of lines) for (let i = 0; i < one.step.length; i++) xs.add(at(one, i));
  const x = [...xs].sort((a, b) => a - b), place = new Map(x.map((value, i) => [value, i]));
  const data = [x], bands = [];
  data.bad = [];
  lines.forEach((one, k) => {
    const laid = (values) => {
      const row = new Array(x.length).fill(null);
      for (let i = 0; i < one.step.length; i++) row[place.get(at(one, i))] = up(number(values[i]));
      return row;
    };
    const raw = laid(one.last);
    for (let i = 0; i < one.step.length; i++) {
      const odd = [one.last[i], one.max?.[i], one.min?.[i]].find((value) => typeof value === "string");
      if (odd) data.bad.push([place.get(at(one, i)), k, odd]);
    }
    data.push(raw, one.step.length < FEW ? raw : smooth(raw, Number(set.smoothing)));
    if (one.max) bands.push(laid(one.max), laid(one.min));
  });
  data.push(...bands);
  return data;
}
// Nineteen in twenty of the values that are in sight: a few far ones do not flatten the rest.
const clipped = (lines, set) => (u, low, high) => {
  const [from, to] = set.zoom ?? [-Infinity, Infinity];
  const values = lines.flatMap((one, k) => u.data[1 + 2 * k].filter((value, i) => value !== null && u.data[0][i] >= from && u.data[0][i] <= to)).sort((a, b) => a - b);
  if (values.length >= 20) [low, high] = [0.025, 0.975].map((part) => values[Math.round(part * (values.length - 1))]);
  return low === null ? [null, null] : set.log ? window.uPlot.rangeLog(low, high, 10, false) : window.uPlot.rangeNum(low, high, 0.1, true);
};
// The part of the charts that an address asks for ("zoom=<from>..<to>"), or null; and a part as an address has it.
export const zoomOf = (asked) => {
  const ends = (asked.get("zoom") ?? "").split("..").map(parseFloat);
  return ends.length === 2 && ends[0] < ends[1] ? ends : null;
};
const rounded = (zoom, axis) => {
  const wide = Math.log10(zoom[1] - zoom[0]), digits = axis === "step" && wide > 0.5 ? 0 : Math.min(6, Math.max(0, 3 - Math.floor(wide)));
  return zoom.map((value) => Number(value.toFixed(digits)));
};
// Shows the same part of every one of `plots`. `set.zoomTo` is for what was dragged over: of plots that share a cursor
// each tells it, and the first is believed.
export const zoomer = (set, plots, keep) => {
  const zoomTo = (zoom) => {
    set.zoom = zoom && rounded(zoom, set.axis);
    keep();
    for (const el of plots) el.plot?.setData(el.plot.data);
  };
  let isTold = false;
  set.zoomTo = (zoom) => {
    if (isTold) return;
    isTold = true;
    setTimeout(() => { isTold = false; });
    zoomTo(zoom);
  };
  return zoomTo;
};
// New points for a plot that is there; false where it has to be drawn anew.
export function refill(el, lines, set) {
  const data = table(lines, set);
  if (el.plot.data.length !== data.length) return false;
  el.bad = data.bad;
  el.plot.setData(data);
  return true;
}
// `lines` are series; `looks` says of each its colour (1 to 6), its dash where it has one, and whether it is `plain`:
// never dotted. With `set.zero` the scale begins there; `set.times` writes the axis of times; `set.zoomTo` is told what
// was dragged over, and `set.zoom` is the part that is shown.
export function draw(el, lines, looks, set) {
  const width = el.clientWidth - 10, height = el.clientHeight - 8, data = table(lines, set), bands = [];
  const axis = { stroke: token("--faint"), grid: { stroke: token("--line"), width: 1 }, ticks: { show: false }, font: "11px Inter, sans-serif", gap: 4 };
  const options = [{}];
  lines.forEach((one, i) => {
    const line = token(`--c${looks[i].colour}`), few = one.step.length < FEW && !looks[i].plain, dash = looks[i].dash;
    options.push({ stroke: faint(line), width: 1, spanGaps: true, points: { show: few, size: 4.5, fill: line, stroke: line } });
    options.push({ stroke: line, width: 1.75, spanGaps: true, points: { show: false }, ...(dash ? { dash } : {}) });
    if (one.max) bands.push({ series: [1 + 2 * (lines.length + bands.length), 2 + 2 * (lines.length + bands.length)], fill: faint(line, 0.16) });
  });
  for (const band of bands) options.push(...band.series.map(() => ({ points: { show: false } })));
  el.bad = data.bad;
  el.classList.remove("wait");
  el.textContent = "";
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  const isTime = set.axis === "time", along = set.axis === "relative" ? lasting : short, { zoomTo } = set;
  el.plot = new window.uPlot({
    width, height, series: options, bands, padding: [8, set.times ? 22 : 14, 0, 0], legend: { show: false },
    cursor: { sync: { key: "run" }, points: { size: 6 }, drag: { x: true, y: false, setScale: !zoomTo }, ...(zoomTo ? { bind: { dblclick: () => () => zoomTo(null) } } : {}) },
    scales: {
      x: { time: isTime, ...(zoomTo ? { range: (u, low, high) => set.zoom ?? [low, high] } : {}) },
      y: set.zero ? { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } : { ...(set.log ? { distr: 3, log: 10 } : {}), ...(set.clip ? { range: clipped(lines, set) } : {}) },
    },
    axes: [{ ...axis, size: 24, space: 70, ...(isTime ? set.times ? { values: set.times } : {} : { values: (u, v) => v.map(along) }) }, { ...axis, size: 46, space: 34, values: (u, v) => v.map((one) => (one === null ? "" : short(one))) }],
    hooks: {
      setSelect: [(u) => {
        const { left, width } = u.select;
        if (!zoomTo || !width) return;
        u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        if (width > 4) zoomTo([u.posToVal(left, "x"), u.posToVal(left + width, "x")]);
      }],
      // What is no number has a mark where it stands: "inf" at the top, the others at the bottom.
      draw: [({ ctx, bbox, valToPos }) => {
        const size = 4 * devicePixelRatio;
        ctx.fillStyle = token("--s-bad");
        for (const [i, , value] of el.bad) {
          const x = valToPos(el.plot.data[0][i], "x", true), isUp = value === "inf", y = isUp ? bbox.top : bbox.top + bbox.height;
          if (x < bbox.left || x > bbox.left + bbox.width) continue;
          ctx.beginPath();
          for (const [dx, dy] of [[-1, 0], [1, 0], [0, isUp ? 1.8 : -1.8]]) ctx.lineTo(x + dx * size, y + dy * size);
          ctx.fill();
        }
      }],
      setCursor: [(u) => {
        const i = u.cursor.idx;
        tip.hidden = i === null || i === undefined;
        if (tip.hidden) return;
        const at = u.data[0][i], x = isTime ? new Date(at * 1000).toLocaleTimeString() : set.axis === "relative" ? lasting(at) : counted(at);
        tip.textContent = `${x} · ${lines.map((one, k) => el.bad.find((bad) => bad[0] === i && bad[1] === k)?.[2] ?? show(u.data[1 + 2 * k][i])).join(" · ")}`;
      }],
    },
  }, data, el);
  el.append(tip);
}
export const sizes = (plots) => { for (const el of plots) el.plot.setSize({ width: el.clientWidth - 10, height: el.clientHeight - 8 }); };
export const slider = $("#smoothing");
