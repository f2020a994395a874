// The charts of one run: the first few on its overview, all of them on the page of its metrics. Only those that are
// looked at are fetched and drawn. On the metrics' own page what the reader sets is kept in the address.
import { $, $$, actions } from "./app.js";
import { draw, number, refill, show, sizes, slider, turn, zoomer, zoomOf } from "./charts.js";

const MOST = 8; // plots at once, unless more of them are on the screen
const FIRST = 8; // charts whose points are asked for before it is known which are in sight
const SOON = 1000; // between looks for the first number of all, for two minutes; then five times as long
const EVERY = 5000, IDLE = 6; // after so many looks that found nothing new, one of them in six
const KEPT = ["smooth", "x", "log", "clip", "zoom"]; // what the address says of how charts are drawn
let charts = $("#charts");

if (charts && window.uPlot) {
  const asked = new URLSearchParams(location.search), isPage = "whole" in charts.dataset;
  const kept = JSON.parse(localStorage.getItem("berth-charts") ?? "{}");
  const given = (name, parameter, standard) => (isPage && asked.get(parameter)) || (kept[name] ?? standard);
  const set = { smoothing: Number(given("smoothing", "smooth", 0.6)), axis: given("axis", "x", "step"), log: isPage && asked.get("log") === "1", clip: isPage && asked.get("clip") === "1", start: Number(charts.dataset.start), zoom: null };
  if (!["step", "time", "relative"].includes(set.axis)) set.axis = "step";
  if (isPage) set.zoom = zoomOf(asked);
  const series = new Map(), plots = new Set(), seen = new Set();
  const zoomTo = zoomer(set, plots, () => keep());
  const namesOf = (el) => JSON.parse(el.dataset.names);
  const isShown = (el) => seen.has(el) && el.isConnected && !el.plot && !el.hidden;
  const linesOf = (el) => namesOf(el).map((name) => series.get(name)).filter(Boolean);

  async function load(names) {
    if (!names.length) return false;
    const query = new URLSearchParams({ buckets: isPage ? 500 : 1500, x: set.axis === "step" ? "step" : "time" });
    for (const name of names) query.append("keys", name);
    const answer = await fetch(`${charts.dataset.url}?${query}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return false;
    let isNew = false;
    for (const one of (await answer.json()).series) {
      isNew ||= one.points !== series.get(one.name)?.points;
      series.set(one.name, one);
      const last = charts.querySelector(`[data-last="${CSS.escape(one.name)}"]`), value = number(one.last.at(-1));
      if (last && one.last.length) last.textContent = value === null ? String(one.last.at(-1)) : show(value);
    }
    return isNew;
  }
  function build(el) {
    const lines = linesOf(el);
    if (!lines.length || el.plot || el.hidden) return;
    draw(el, lines, lines.map((one, i) => ({ colour: (i % 6) + 1 })), set);
    plots.add(el);
  }
  function forget(el) {
    el.plot?.destroy();
    el.plot = null;
    el.textContent = "";
    el.classList.add("wait");
    plots.delete(el);
  }
  // Nothing off the screen is built. What came into sight together is asked for together.
  let soon = 0;
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) { if (entry.isIntersecting) seen.add(entry.target); else seen.delete(entry.target); }
    soon ||= requestAnimationFrame(() => { soon = 0; fillIn().catch(() => {}); });
  }, { rootMargin: "60px" });
  const missing = (elements) => [...new Set(elements.flatMap(namesOf))].filter((name) => !series.has(name));
  let early = null, isFilling = false;
  // One chart in a turn; what comes into sight meanwhile is drawn in the same round.
  async function fillIn() {
    if (isFilling) return;
    isFilling = true;
    try {
      await early;
      const tried = new Set();
      for (;;) {
        const wanted = [...seen].filter((el) => isShown(el) && !tried.has(el));
        if (!wanted.length) break;
        await load(missing(wanted));
        for (const el of wanted) {
          tried.add(el);
          if (!isShown(el)) continue;
          build(el);
          for (const old of plots) if (plots.size > MOST && !seen.has(old)) forget(old);
          await turn();
        }
      }
    } finally { isFilling = false; }
  }
  const rebuild = () => { for (const el of [...plots]) forget(el); fillIn().catch(() => {}); };
  async function refresh() {
    for (const box of $$(".points", charts)) box.fill();
    for (const el of [...plots]) {
      if (!el.plot) continue;
      if (!refill(el, linesOf(el), set)) { forget(el); build(el); }
      await turn();
    }
  }

  const query = () => {
    const made = new URLSearchParams(location.search);
    made.set("smooth", set.smoothing.toFixed(2));
    made.set("x", set.axis);
    const given = { log: set.log ? "1" : "", clip: set.clip ? "1" : "", zoom: set.zoom?.join("..") };
    for (const [name, value] of Object.entries(given)) if (value) made.set(name, value); else made.delete(name);
    return made;
  };
  // The address, and what leads from here to other parts of the page.
  function keep() {
    localStorage.setItem("berth-charts", JSON.stringify({ smoothing: set.smoothing, axis: set.axis }));
    if (!isPage) return;
    const made = query();
    history.replaceState(null, "", `${location.pathname}?${made}`);
    $("#pins input[name=back]").value = made;
    $("#whole").hidden = !set.zoom;
    for (const name of KEPT) {
      const form = $("#metrics-filter"), field = $(`[name=${name}]`, form) ?? form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name }));
      field.value = made.get(name) ?? "";
    }
    keepLinks();
  }
  function keepLinks() {
    for (const link of $$("a[data-keep]")) {
      const url = new URL(link.href), made = query();
      for (const name of KEPT) if (made.has(name)) url.searchParams.set(name, made.get(name)); else url.searchParams.delete(name);
      link.href = url;
    }
  }
  const showSmoothing = () => { slider.value = set.smoothing; slider.nextElementSibling.value = set.smoothing.toFixed(2); };
  const setSmoothing = (value) => {
    set.smoothing = Math.min(0.99, Math.max(0, Number(value) || 0));
    showSmoothing();
    keep();
    refresh();
  };
  slider.addEventListener("input", () => setSmoothing(slider.value));
  actions.smoother = () => setSmoothing(set.smoothing + 0.05);
  actions.rougher = () => setSmoothing(set.smoothing - 0.05);
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const axes = $$("[data-axis]"), showAxis = () => axes.forEach((button) => press(button, button.dataset.axis === set.axis));
  for (const button of axes) {
    button.addEventListener("click", () => {
      if (set.axis === button.dataset.axis) return;
      set.axis = button.dataset.axis;
      set.zoom = null; // it is in units of the axis
      showAxis();
      keep();
      series.clear();
      rebuild();
    });
  }
  for (const [id, name] of [["log-scale", "log"], ["clip", "clip"]]) {
    $(`#${id}`)?.addEventListener("click", (event) => {
      set[name] = !set[name];
      press(event.currentTarget, set[name]);
      keep();
      rebuild();
    });
  }
  actions.range = async () => { if (isPage) (await import("./chartbox.js")).range(set); };
  actions.whole = () => zoomTo(null);
  document.addEventListener("berth:theme", rebuild);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", rebuild);

  // A chart's points as a table in its place.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-table],[data-png]");
    if (!button) return;
    const card = button.closest(".card"), el = $(".chart", card), box = $(".points", card);
    if ("png" in button.dataset) { if (el.plot) (await import("./chartbox.js")).picture(el, namesOf(el)[0]); return; }
    press(button, !box);
    el.hidden = !box;
    if (box) { box.remove(); build(el); return; }
    forget(el);
    await load(missing([el]));
    const { pointsOf } = await import("./points.js");
    card.append(pointsOf(namesOf(el)[0], series, charts.dataset));
  });

  // Also what a filter or "load more" brought.
  const observer = new ResizeObserver(() => sizes([...plots]));
  function watch() {
    charts = $("#charts") ?? charts;
    for (const el of [...plots, ...seen]) if (!el.isConnected) { forget(el); seen.delete(el); watcher.unobserve(el); }
    for (const el of $$(".chart", charts)) if (!el.isWatched) { el.isWatched = true; watcher.observe(el); }
    observer.disconnect();
    observer.observe(charts);
  }
  document.addEventListener("htmx:afterSettle", () => { if (!isPage) return; watch(); keepLinks(); });
  showSmoothing();
  showAxis();
  early = load(missing($$(".chart", charts).slice(0, FIRST))).catch(() => {});
  watch();

  let looks = 0, idle = 0;
  const isOver = () => !isPage && !$("#live[hx-get]");
  setInterval(async () => {
    looks++;
    if (document.hidden || charts.dataset.live !== "true" || ((isOver() || idle > IDLE) && looks % 6)) return;
    if (isOver() && idle > IDLE) return;
    const isNew = await load([...plots, ...$$(".points", charts).map((box) => $(".chart", box.parentElement))].flatMap(namesOf));
    idle = isNew ? 0 : idle + 1;
    if (isNew) refresh();
  }, EVERY);
} else if ($("#no-metrics")) {
  // The first number turns the hint into charts: with the page, which is drawn on the server.
  const hint = $("#no-metrics");
  let looks = 0;
  const timer = setInterval(async () => {
    if (looks++ > 120 && looks % 5) return;
    if (document.hidden || hint.dataset.live !== "true" || ($("#live") && !$("#live[hx-get]"))) return;
    const answer = await fetch(`${hint.dataset.url}?buckets=1`, { headers: { Accept: "application/json" } });
    if (!answer.ok || !(await answer.json()).series.length || document.activeElement?.closest("form,dialog,#log")) return;
    clearInterval(timer);
    location.reload();
  }, SOON);
}
