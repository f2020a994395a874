// The page of one run: its log and its charts. Lines are drawn as app/web/loglines.py draws them.
import { $, $$, actions, toast } from "./app.js";
import { draw as drawChart, number, show, sizes, slider, smooth, table } from "./charts.js";

export { smooth };

const BLOCK = 500, HEIGHT = 19, LONGEST = 16384, SEGMENT = 400000, KEPT = 3;
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (c) => escapes[c]);
const fill = (text, slots) => text.replace(/\{(\w+)\}/g, (all, name) => slots[name] ?? all);
const counted = (n) => n.toLocaleString("en-US");

// ---- one line ------------------------------------------------------------------------------------------------
const SGR = /\x1b\[([0-9;:]{0,64})m/g;
const ERROR = /Traceback \(most recent call last\)|^[\w.]*(?:Error|Exception)\b|\b(?:ERROR|CRITICAL|FATAL)\b|^(?:error|fatal|panic|Error): |Segmentation fault|^Killed\b/;
const COLOURS = "drgybmcd", ENDS = { 22: ["an-1", "an-2"], 23: ["an-3"], 24: ["an-4"] };
const NEAREST = { "100": "r", "010": "g", "001": "b", "110": "y", "101": "m", "011": "c" };

function colour(classes, letter) {
  for (const one of "rgybmcd") classes.delete("an-" + one);
  if (letter) classes.add("an-" + letter);
}
function extended(numbers) {
  const form = numbers.shift();
  let rgb;
  if (form === 2) rgb = [0, 0, 0].map(() => Math.min(255, numbers.shift() ?? 0));
  else if (form === 5) {
    const n = numbers.shift() ?? 0;
    if (n < 16) return n === 8 ? "d" : n === 7 || n === 15 ? "" : COLOURS[n % 8];
    if (n > 231) return n < 248 ? "d" : "";
    const cube = n - 16;
    rgb = [Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51];
  } else return "";
  const high = Math.max(...rgb);
  if (high - Math.min(...rgb) < 40) return high < 170 ? "d" : "";
  return NEAREST[rgb.map((part) => (part > high * 0.6 ? 1 : 0)).join("")] ?? "";
}
function apply(parameters, classes) {
  const numbers = parameters.split(/[;:]/).map((part) => Number(part) || 0);
  while (numbers.length) {
    const n = numbers.shift();
    if (n === 0) classes.clear();
    else if (n >= 1 && n <= 4) classes.add("an-" + n);
    else if (ENDS[n]) ENDS[n].forEach((name) => classes.delete(name));
    else if (n === 38 || n === 48) { const found = extended(numbers); if (n === 38) colour(classes, found); }
    else if ((n >= 30 && n <= 37) || (n >= 90 && n <= 97)) colour(classes, n === 90 ? "d" : n % 10 === 7 ? "" : COLOURS[n % 10]);
    else if (n === 39) colour(classes, "");
  }
}
let needle = null; // what a search looks for, as a pattern
const marked = (text) => needle ? text.split(needle).map((part, i) => i % 2 ? `<mark>${escape(part)}</mark>` : escape(part)).join("") : escape(text);
export function markup(text, moreWords = "{number}") {
  const more = text.length - LONGEST;
  if (more > 0) text = text.slice(0, LONGEST);
  let made = "", position = 0;
  const classes = new Set();
  const piece = (part) => { if (part) made += classes.size ? `<span class="${[...classes].join(" ")}">${marked(part)}</span>` : marked(part); };
  if (text.includes("\x1b")) {
    for (const match of text.matchAll(SGR)) {
      piece(text.slice(position, match.index));
      apply(match[1], classes);
      position = match.index + match[0].length;
    }
  }
  piece(text.slice(position));
  return more > 0 ? `${made} <i class="cut">${escape(fill(moreWords, { number: more }))}</i>` : made;
}

// ---- the log -------------------------------------------------------------------------------------------------
const card = $("#log"), view = $("#lines");
if (card && view) {
  const says = card.dataset, state = $("#log-state"), hits = $("#log-hits"), below = $("#log-below");
  const field = $("#log-search input[name=q]"), followButton = $("[data-does=follow]", card);
  const attempt = Number(says.attempt), utc = says.zone === "UTC" && !document.cookie.includes("berth_zone=UTC");
  let total = Number(says.lines), isLive = says.live === "true", follow = isLive, wrap = false, times = 0, unseen = 0;
  let segment = Math.max(0, Math.floor((total - 1) / SEGMENT)) * SEGMENT;
  const loaded = new Map();
  let pending = new Set(), found = null, at = -1, errors = null;

  const two = (n) => String(n).padStart(2, "0"), three = (n) => String(n).padStart(3, "0");
  const clock = (ms) => {
    const d = new Date(ms);
    return utc ? `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}.${three(d.getUTCMilliseconds())}`
      : `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${three(d.getMilliseconds())}`;
  };
  const elapsed = (ms) => `+${(ms / 1000).toFixed(3)}`.padStart(12);
  const gutter = (n, ms, before) => {
    const number = (n < 1e6 ? counted(n) : String(n)).padStart(7);
    if (!ms) return number;
    if (times === 1) return `${number}  ${elapsed(ms - Number(says.start || ms))}`;
    if (times === 2) return `${number}  ${elapsed(before ? ms - before : 0)}`;
    return `${number}  ${clock(ms)}`;
  };
  const kindOf = (line) => line.stream === "gap" ? " gap" : line.stream === "berth" ? " b"
    : ERROR.test(line.text.slice(0, 2000).replace(SGR, "")) ? " e" : "";
  const draw = (line, before) => {
    const text = line.gap ? escape(fill(says.saysGap, line.gap)) : markup(line.text, says.saysMore);
    return `<span class="l${kindOf(line)}" id="L${line.n}" data-n="${line.n}" data-ms="${line.ms}" data-g="${gutter(line.n, line.ms, before)}">${text}</span>`;
  };
  const drawAll = (lines) => lines.map((line, i) => draw(line, lines[i - 1]?.ms)).join("");
  const read = (item) => ({ n: item.line, ms: Date.parse(item.at) || 0, stream: item.stream, text: item.text, gap: item.gap });

  const url = (query) => `${says.url}?${new URLSearchParams({ attempt, replica: says.replica, ...query })}`;
  async function fetchJson(query) {
    const answer = await fetch(url(query), { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  // Blocks: one <pre> for every 500 lines; empty ones keep their height, so scrolling is the browser's own.
  const count = (k) => Math.max(0, Math.min(BLOCK, total - k * BLOCK));
  const size = (pre, k) => { pre.style.height = loaded.has(k) ? "" : `${count(k) * HEIGHT}px`; };
  const block = (k) => view.querySelector(`pre[data-k="${k}"]`);
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) load(Number(entry.target.dataset.k));
    shed();
  }, { root: view, rootMargin: "2500px" });

  function build() {
    const first = Math.floor(segment / BLOCK), last = Math.max(first, Math.ceil(Math.min(total, segment + SEGMENT) / BLOCK) - 1);
    const old = new Map($$("pre[data-k]", view).map((pre) => [Number(pre.dataset.k), pre]));
    const parts = [];
    for (let k = first; k <= last; k++) {
      const pre = old.get(k) ?? document.createElement("pre");
      pre.dataset.k = k;
      old.delete(k);
      if (pre.childElementCount && pre.childElementCount === count(k)) loaded.set(k, performance.now());
      else if (pre.childElementCount) { pre.textContent = ""; loaded.delete(k); }
      size(pre, k);
      parts.push(pre);
    }
    for (const [k, pre] of old) { watcher.unobserve(pre); pre.remove(); loaded.delete(k); }
    view.replaceChildren(...(total ? parts : [$("#log-empty")].filter(Boolean)));
    for (const pre of parts) watcher.observe(pre);
  }
  async function load(k, force = false) {
    const pre = block(k);
    if (!pre || pending.has(k) || (loaded.has(k) && !force) || !count(k)) return;
    pending.add(k);
    try {
      const body = await fetchJson({ after: k * BLOCK, limit: BLOCK });
      const lines = body.items.map(read);
      const anchor = wrap ? anchored() : null;
      pre.innerHTML = drawAll(lines);
      loaded.set(k, performance.now());
      size(pre, k);
      if (anchor) anchor();
      if (follow) toEnd();
      paintCurrent();
    } catch { /* the next look at this block asks again */ } finally { pending.delete(k); }
  }
  function anchored() {
    const top = view.getBoundingClientRect().top;
    const line = $$(".l", view).find((one) => one.getBoundingClientRect().bottom > top);
    if (!line) return null;
    const was = line.getBoundingClientRect().top;
    return () => { if (line.isConnected) view.scrollTop += line.getBoundingClientRect().top - was; };
  }
  // Only the blocks near the eye stay in memory.
  function shed() {
    if (loaded.size <= KEPT) return;
    const middle = view.scrollTop + view.clientHeight / 2;
    const far = [...loaded.keys()].map((k) => [k, block(k)]).filter(([, pre]) => pre)
      .map(([k, pre]) => [Math.abs(pre.offsetTop + pre.offsetHeight / 2 - middle), k, pre]).sort((a, b) => b[0] - a[0]);
    for (const [distance, k, pre] of far.slice(0, far.length - KEPT)) {
      if (distance < 2600 + pre.offsetHeight / 2 && far.length <= KEPT + 1) continue;
      const height = pre.offsetHeight;
      loaded.delete(k);
      pre.textContent = "";
      pre.style.height = wrap ? `${height}px` : `${count(k) * HEIGHT}px`;
    }
  }
  const toEnd = () => { view.scrollTop = view.scrollHeight; };

  async function goTo(n, { mark = true, middle = true } = {}) {
    n = Math.max(1, Math.min(n, total));
    if (!total) return;
    setFollow(false);
    const home = Math.floor((n - 1) / SEGMENT) * SEGMENT;
    if (home !== segment) { segment = home; loaded.clear(); build(); }
    const k = Math.floor((n - 1) / BLOCK), pre = block(k);
    if (!loaded.has(k)) view.scrollTop = pre.offsetTop + ((n - 1) % BLOCK) * HEIGHT - view.clientHeight / 3;
    await load(k);
    while (pending.has(k)) await new Promise((done) => setTimeout(done, 20));
    const line = document.getElementById("L" + n);
    if (line) view.scrollTop = line.offsetTop + pre.offsetTop - (middle ? view.clientHeight / 3 : 8);
    if (mark) { current = [n, n]; paintCurrent(); }
  }
  // The line or lines that the address names.
  let current = null;
  const readHash = () => { const match = /^#L(\d{1,12})(?:-L(\d{1,12}))?$/.exec(location.hash); return match ? [Number(match[1]), Number(match[2] ?? match[1])] : null; };
  function paintCurrent() {
    for (const line of $$(".l.at", view)) line.classList.remove("at");
    if (!current) return;
    for (let n = current[0]; n <= Math.min(current[1], current[0] + 2000); n++) document.getElementById("L" + n)?.classList.add("at");
  }
  const point = (from, to) => {
    current = [Math.min(from, to), Math.max(from, to)];
    const hash = current[0] === current[1] ? `#L${from}` : `#L${current[0]}-L${current[1]}`;
    history.replaceState(null, "", `${location.pathname}?attempt=${attempt}&line=${current[0]}${hash}`);
    paintCurrent();
  };
  addEventListener("hashchange", () => { const lines = readHash(); if (lines) { goTo(lines[0]).then(() => { current = lines; paintCurrent(); }); } });
  view.addEventListener("click", async (event) => {
    const line = event.target.closest(".l");
    if (!line) return;
    const edge = parseFloat(getComputedStyle(line).paddingLeft);
    if (event.clientX - line.getBoundingClientRect().left > edge) return;
    const n = Number(line.dataset.n);
    point(event.shiftKey && current ? current[0] : n, n);
    try { await navigator.clipboard?.writeText(location.href); toast($("#toast-copied")); } catch { /* the address bar has it */ }
  });

  // Following: a stream while the page is looked at; the place in it is the number of the last line.
  let stream = null, timer = 0, hiddenSince = 0;
  const setFollow = (on) => {
    follow = on && isLive;
    followButton?.setAttribute("aria-pressed", String(follow));
    if (follow) { unseen = 0; below.hidden = true; toEnd(); }
  };
  const tell = (kind) => {
    state.textContent = fill({ on: says.saysLive, off: says.saysAway, done: says.saysEnded }[kind], { number: counted(total) });
    state.className = `live ${kind === "done" ? "" : kind}`;
  };
  let batch = [], frame = 0;
  function append() {
    frame = 0;
    const lines = batch.filter((line) => line.n > total);
    batch = [];
    if (!lines.length) return;
    $("#log-empty")?.remove();
    view.classList.remove("small");
    for (const line of lines) {
      if (line.n !== total + 1) { reopen(); break; }
      const k = Math.floor((line.n - 1) / BLOCK);
      let pre = block(k);
      total = line.n;
      if (!pre) {
        pre = document.createElement("pre");
        pre.dataset.k = k;
        view.append(pre);
        watcher.observe(pre);
        loaded.set(k, performance.now());
      }
      if (loaded.has(k)) pre.insertAdjacentHTML("beforeend", draw(line, Number(pre.lastElementChild?.dataset.ms) || 0));
      else size(pre, k);
    }
    errors = null;
    tell("on");
    if (follow) { toEnd(); shed(); }
    else {
      unseen += lines.length;
      below.hidden = false;
      $("span", below).textContent = fill(says.saysNew, { number: counted(unseen) });
    }
  }
  function open() {
    if (stream || !isLive || document.hidden) return;
    stream = new EventSource(url({ after: `${attempt}.${total}` }));
    stream.onopen = () => tell("on");
    stream.onmessage = (event) => {
      const item = JSON.parse(event.data);
      if (item.attempt !== attempt) return;
      batch.push(read(item));
      frame ||= requestAnimationFrame(append);
    };
    stream.addEventListener("gap", stream.onmessage);
    stream.addEventListener("end", () => { close(); append(); isLive = follow = false; tell("done"); followButton?.remove(); });
    stream.addEventListener("closed", () => { close(); isLive = follow = false; tell("off"); });
    stream.onerror = () => { tell("off"); close(); timer = setTimeout(open, 1500 + Math.random() * 1500); };
  }
  function close() { stream?.close(); stream = null; clearTimeout(timer); }
  function reopen() { close(); timer = setTimeout(open, 300); }
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) hiddenSince = setTimeout(close, 30000);
    else { clearTimeout(hiddenSince); open(); }
  });
  addEventListener("pagehide", close);
  view.addEventListener("scroll", () => {
    const isEnd = view.scrollTop + view.clientHeight > view.scrollHeight - 24;
    if (isLive && isEnd !== follow) { if (isEnd) setFollow(true); else { follow = false; followButton?.setAttribute("aria-pressed", "false"); } }
  }, { passive: true });
  below.addEventListener("click", () => actions.follow());

  // Search and errors: the server looks through the whole log, the page walks through what it found.
  const walk = (list, where, by) => (list.length ? (where + by + list.length) % list.length : -1);
  async function search(text) {
    needle = text ? new RegExp(`(${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "i") : null;
    at = -1;
    found = null;
    hits.textContent = "";
    if (text) {
      const body = await fetchJson({ q: text, limit: 1 });
      found = body.matches.lines;
    }
    await Promise.all([...loaded.keys()].map((k) => load(k, true)));
    if (text) jump(found, 1);
  }
  async function jump(list, by) {
    at = walk(list, at, by);
    hits.textContent = list.length ? fill(says.hits, { at: counted(at + 1), number: counted(list.length) }) : says.nohits;
    if (at >= 0) await goTo(list[at]);
  }
  $("#log-search")?.addEventListener("submit", (event) => {
    event.preventDefault();
    if (found && needle && field.value === field.dataset.last) { jump(found, 1); return; }
    field.dataset.last = field.value;
    search(field.value).catch(() => { hits.textContent = says.nohits; });
  });
  field?.addEventListener("input", () => { if (!field.value && needle) { search(""); } });
  async function nextError(by) {
    if (!errors) {
      const lists = await Promise.all(["error", "traceback", "exception"].map((q) => fetchJson({ q, limit: 1 })));
      errors = [...new Set(lists.flatMap((body) => body.matches.lines))].sort((a, b) => a - b);
    }
    if (!errors.length) { hits.textContent = says.nohits; return; }
    const from = current ? current[0] : by > 0 ? 0 : total + 1;
    const next = by > 0 ? errors.find((n) => n > from) ?? errors[0] : errors.findLast((n) => n < from) ?? errors.at(-1);
    hits.textContent = fill(says.hits, { at: counted(errors.indexOf(next) + 1), number: counted(errors.length) });
    await goTo(next);
  }
  const press = (does, on) => $(`[data-does=${does}]`, card)?.setAttribute("aria-pressed", String(on));
  Object.assign(actions, {
    follow: () => { if (isLive && follow && document.activeElement === followButton) setFollow(false); else { setFollow(true); toEnd(); } below.hidden = true; unseen = 0; },
    begin: () => goTo(1, { mark: false, middle: false }),
    wrap: () => {
      const keep = anchored();
      wrap = !wrap;
      view.classList.toggle("wrap", wrap);
      press("wrap", wrap);
      for (const pre of $$("pre[data-k]", view)) size(pre, Number(pre.dataset.k));
      keep?.();
    },
    times: () => {
      times = (times + 1) % 3;
      let before = 0;
      for (const line of $$(".l", view)) { const ms = Number(line.dataset.ms); line.dataset.g = gutter(Number(line.dataset.n), ms, before); before = ms; }
    },
    full: () => {
      const on = card.classList.toggle("full");
      document.body.classList.toggle("still", on);
      press("full", on);
      view.focus({ preventScroll: true });
    },
    error: () => nextError(1),
    "error-back": () => nextError(-1),
    hit: () => { if (found) jump(found, 1); },
    "hit-back": () => { if (found) jump(found, -1); },
  });
  document.addEventListener("berth:escape", () => { if (card.classList.contains("full")) actions.full(); });

  const asked = readHash() ?? (Number(new URLSearchParams(location.search).get("line")) ? [Number(new URLSearchParams(location.search).get("line"))] : null);
  if (field?.value) { $$("pre[data-k]", view).forEach((pre) => pre.remove()); }
  build();
  if (asked) goTo(asked[0]).then(() => { current = readHash(); paintCurrent(); });
  else toEnd();
  if (field?.value) { field.dataset.last = field.value; search(field.value).catch(() => {}); }
  open();
}

// ---- charts --------------------------------------------------------------------------------------------------
const charts = $("#charts");
if (charts && window.uPlot) {
  const kept = JSON.parse(localStorage.getItem("berth-charts") ?? "{}");
  const set = { smoothing: kept.smoothing ?? 0.6, axis: kept.axis ?? "step" };
  const series = new Map(), plots = [];
  const linesOf = (el) => JSON.parse(el.dataset.names).map((name) => series.get(name)).filter(Boolean);
  function build(el) {
    const lines = linesOf(el);
    if (!lines.length) return;
    drawChart(el, lines, lines.map((one, i) => ({ colour: (i % 6) + 1 })), set);
    plots.push(el);
  }
  const redraw = (all = false) => {
    for (const el of plots.splice(0)) {
      const lines = linesOf(el);
      if (!all && el.plot.data.length === 1 + 2 * lines.length) { el.plot.setData(table(lines, set)); plots.push(el); continue; }
      el.plot.destroy();
      build(el);
    }
  };
  // Nothing off the screen is built.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting && !entry.target.plot) { build(entry.target); if (entry.target.plot) watcher.unobserve(entry.target); }
  }, { rootMargin: "200px" });
  async function refresh() {
    const answer = await fetch(`${charts.dataset.url}?buckets=1500&x=${set.axis}`, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    for (const one of (await answer.json()).series) {
      series.set(one.name, one);
      const last = charts.querySelector(`[data-last="${CSS.escape(one.name)}"]`);
      const value = number(one.last.at(-1));
      if (last && one.last.length) last.textContent = value === null ? String(one.last.at(-1)) : show(value);
    }
    redraw();
    for (const el of $$(".chart", charts)) if (!el.plot) watcher.observe(el);
  }
  const keep = () => localStorage.setItem("berth-charts", JSON.stringify(set));
  const setSmoothing = (value) => {
    set.smoothing = Math.min(0.99, Math.max(0, Number(value)));
    slider.value = set.smoothing;
    slider.nextElementSibling.value = set.smoothing.toFixed(2);
    keep();
    redraw();
  };
  slider.addEventListener("input", () => setSmoothing(slider.value));
  actions.smoother = () => setSmoothing(set.smoothing + 0.05);
  actions.rougher = () => setSmoothing(set.smoothing - 0.05);
  const axes = $$("[data-axis]");
  const showAxis = () => axes.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.axis === set.axis)));
  for (const button of axes) button.addEventListener("click", async () => { set.axis = button.dataset.axis; showAxis(); keep(); await refresh(); redraw(true); });
  document.addEventListener("berth:theme", () => redraw(true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(true));
  new ResizeObserver(() => sizes(plots)).observe(charts);
  setSmoothing(set.smoothing);
  showAxis();
  refresh();
  let left = 3; // a few more looks after the end, for points that arrive late
  const isRunning = () => Boolean($("#live[hx-get]"));
  setInterval(() => { if (!document.hidden && charts.dataset.live === "true" && (isRunning() || left-- > 0)) refresh(); }, 5000);
} else if ($("#no-metrics")) {
  // The first number turns the hint into charts: with the page, which is drawn on the server.
  const hint = $("#no-metrics");
  const timer = setInterval(async () => {
    if (document.hidden || !$("#live[hx-get]")) return;
    const answer = await fetch(`${hint.dataset.url}?buckets=1`, { headers: { Accept: "application/json" } });
    if (!answer.ok || !(await answer.json()).series.length) return;
    clearInterval(timer);
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    if (page.querySelector("#charts") && !document.activeElement?.closest("form,dialog,#log")) location.reload();
  }, 5000);
}
