// Charts of several runs laid over each other. What the reader sets is kept in the address.
import { $, $$, actions, toast } from "./app.js";
import { draw, refill, sizes, slider, zoomer, zoomOf } from "./charts.js";

const MOST = 8, DASHES = [null, [8, 4], [2, 3], [8, 3, 2, 3]];
const charts = $("#charts");
actions["copy-link"] = async () => { await navigator.clipboard?.writeText(location.href); toast($("#toast-copied")); };
if (charts && window.uPlot) {
  const asked = new URLSearchParams(location.search);
  const set = { smoothing: Number(slider.value), axis: asked.get("x") === "time" ? "time" : "step", zoom: zoomOf(asked) };
  const runs = JSON.parse(charts.dataset.runs), plots = [];
  const zoomTo = zoomer(set, plots, () => keep());
  const looks = (run) => ({ colour: (run.place % 6) + 1, dash: DASHES[Math.floor(run.place / 6) % DASHES.length] });

  async function load(el) {
    if (el.runs && el.axis === set.axis) return;
    const query = new URLSearchParams({ keys: el.dataset.name, buckets: 500, x: set.axis });
    const axis = set.axis;
    const found = await Promise.all(runs.map(async (run) => {
      const answer = await fetch(`/api/v1/runs/${run.id}/metrics?${query}`, { headers: { Accept: "application/json" } });
      return answer.ok ? [run, (await answer.json()).series[0]] : [run, null];
    }));
    el.axis = axis;
    el.runs = found.filter(([, series]) => series);
  }
  async function build(el) {
    await load(el);
    if (el.plot || !el.runs.length) return;
    while (plots.length >= MOST) forget(plots.shift());
    draw(el, el.runs.map(([, series]) => series), el.runs.map(([run]) => looks(run)), set);
    plots.push(el);
  }
  function forget(el) {
    el.plot?.destroy();
    el.plot = null;
    el.textContent = "";
    el.classList.add("wait");
    watcher.unobserve(el);
    watcher.observe(el);
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !entry.target.plot) build(entry.target);
  }, { rootMargin: "100px" });
  const rebuild = async () => { for (const el of plots.splice(0)) { el.plot.destroy(); el.plot = null; await build(el); } };
  const keep = () => {
    const url = new URL(location.href);
    url.searchParams.set("smooth", set.smoothing.toFixed(2));
    url.searchParams.set("x", set.axis);
    if (set.zoom) url.searchParams.set("zoom", set.zoom.join("..")); else url.searchParams.delete("zoom");
    history.replaceState(null, "", url);
    $("#whole").hidden = !set.zoom;
    // Links to this page with another way to look at it, and without one of its runs.
    for (const link of $$("a[data-keep]")) {
      const to = new URL(link.href);
      for (const name of ["smooth", "x", "zoom"]) if (url.searchParams.has(name)) to.searchParams.set(name, url.searchParams.get(name)); else to.searchParams.delete(name);
      link.href = to;
    }
  };
  const setSmoothing = (value) => {
    set.smoothing = Math.min(0.99, Math.max(0, Number(value)));
    slider.value = set.smoothing;
    slider.nextElementSibling.value = set.smoothing.toFixed(2);
    keep();
    for (const el of plots) refill(el, el.runs.map(([, series]) => series), set);
  };
  slider.addEventListener("input", () => setSmoothing(slider.value));
  actions.smoother = () => setSmoothing(set.smoothing + 0.05);
  actions.rougher = () => setSmoothing(set.smoothing - 0.05);
  for (const button of $$("[data-axis]")) {
    button.addEventListener("click", () => {
      if (set.axis === button.dataset.axis) return;
      set.axis = button.dataset.axis;
      set.zoom = null; // it is in units of the axis
      for (const one of $$("[data-axis]")) one.setAttribute("aria-pressed", String(one === button));
      keep();
      rebuild();
    });
  }
  actions.range = async () => (await import("./chartbox.js")).range(set);
  actions.whole = () => zoomTo(null);
  document.addEventListener("berth:theme", rebuild);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);
  new ResizeObserver(() => sizes(plots.filter((el) => el.plot))).observe(charts);
  for (const el of $$(".chart", charts)) watcher.observe(el);
  setInterval(() => {
    if (document.hidden || charts.dataset.live !== "true") return;
    for (const el of plots) el.runs = null;
    rebuild();
  }, 10000);
}
