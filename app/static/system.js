// The system tab of a run: what it used against what it asked for, appended to while it runs.
import { $, $$ } from "./app.js";
import { draw, refill, sizes } from "./charts.js";

const two = (n) => String(n).padStart(2, "0");
const clock = (u, value) => {
  const at = new Date(value * 1000), text = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return u.scales.x.max - u.scales.x.min < 300 ? `${text}:${two(at.getSeconds())}` : text;
};
// Of ticks within one second only the first is named.
const times = (u, values) => values.map((value) => clock(u, value)).map((text, i, all) => (text === all[i - 1] ? "" : text));
const MIB = 1048576, SET = { axis: "time", smoothing: 0, zero: true, times };
let body = null;
const scaled = (values, by) => values.map((value) => (value === null ? null : value / by));
const line = (values, by = 1) => ({ step: body.at_ms, at_ms: body.at_ms, last: scaled(values, by) });
// What was asked for is level: its two ends are enough.
const level = (value) => {
  const ends = [body.at_ms[0], body.at_ms.at(-1)];
  return { step: ends, at_ms: ends, last: [value, value] };
};
const LINES = {
  cpu: () => [line(body.series.cpu.mean), level(body.asked.cpu)],
  memory: () => [line(body.series.memory.max, MIB), level(body.asked.memory_bytes / MIB)],
  disk: () => [line(body.series.disk_read.mean, MIB), line(body.series.disk_written.mean, MIB)],
  gpu: () => [line(body.series.gpu_busy?.last ?? [])],
};
const LOOKS = [{ colour: 1 }, { colour: 3, dash: [6, 4], plain: true }], DISK = [{ colour: 1 }, { colour: 2 }];
const plots = () => $$("#use-charts [data-chart]").filter((el) => el.plot);

function show(all = false) {
  for (const el of $$("#use-charts [data-chart]")) {
    const lines = LINES[el.dataset.chart]();
    if (el.plot && !all && refill(el, lines, SET)) continue;
    el.plot?.destroy();
    draw(el, lines, el.dataset.chart === "disk" ? DISK : LOOKS, SET);
  }
}
async function refresh() {
  const charts = $("#use-charts");
  if (!charts || !window.uPlot) return;
  try {
    const answer = await fetch(charts.dataset.url, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    body = await answer.json();
    if (body.at_ms.length) show();
  } catch { /* the next round asks again */ }
}
const redraw = () => { if (body) show(true); };
document.addEventListener("berth:theme", redraw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
addEventListener("resize", () => sizes(plots()));
// The server's part comes every ten seconds while it runs, and once more at its end: the charts follow it.
document.addEventListener("htmx:afterSettle", (event) => { if (["use", "system"].includes(event.target.id)) refresh(); });
refresh();
