// A log: on a page of its own, and its end on the run's first page. Lines are drawn as app/web/loglines.py draws them.
import { $, $$, actions, knownUntil, span, toast } from "./app.js";

const BLOCK = 500, HEIGHT = 19, LONGEST = 16384, SEGMENT = 400000, KEPT = 3;
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (c) => escapes[c]);
// A text has one form, or that of one and that of many.
const fill = (text, slots, n = 0) => text.split("|").at(n === 1 ? 0 : -1).replace(/\{(\w+)\}/g, (all, name) => slots[name] ?? all);
const counted = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ","); // toLocaleString would load the tables of all languages

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
export function markup(text, moreWords = "{count}") {
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
  return more > 0 ? `${made} <i class="cut">${escape(fill(moreWords, { count: more }, more))}</i>` : made;
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
  const pending = new Map(), coming = new Map(); // blocks that are being drawn, and what is asked for ahead of them
  let found = null, at = -1, errors = null;
  const isPage = says.whole === "true"; // the address is this log's own

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
    const text = line.gap ? escape(fill(line.gap.lines ? says.saysGap : says.saysHole, line.gap, line.gap.lines)) : markup(line.text, says.saysMore);
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
    if (!pre || (loaded.has(k) && !force && !pending.has(k)) || !count(k)) return;
    if (pending.has(k)) { await pending.get(k); return; }
    let done;
    pending.set(k, new Promise((whenDone) => { done = whenDone; }));
    try {
      const body = await (coming.get(k) ?? ahead(k));
      const lines = body.items.map(read);
      const anchor = wrap ? anchored() : null;
      pre.innerHTML = drawAll(lines);
      loaded.set(k, performance.now());
      size(pre, k);
      if (anchor) anchor();
      if (follow) toEnd();
      paintCurrent();
    } catch { /* the next look at this block asks again */ } finally { pending.delete(k); coming.delete(k); done(); }
  }
  const ahead = (k) => {
    const asked = fetchJson({ after: k * BLOCK, limit: BLOCK });
    coming.set(k, asked);
    asked.catch(() => coming.delete(k));
    return asked;
  };
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
    const home = Math.floor((n - 1) / SEGMENT) * SEGMENT, k = Math.floor((n - 1) / BLOCK);
    if (!loaded.has(k) && !coming.has(k)) ahead(k); // the server works while the page is laid out
    if (home !== segment) { segment = home; loaded.clear(); build(); }
    const pre = block(k);
    if (!loaded.has(k)) view.scrollTop = pre.offsetTop + ((n - 1) % BLOCK) * HEIGHT - view.clientHeight / 3;
    await load(k);
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
    paintCurrent();
    return tellAddress(hash);
  };
  // What is looked for and which lines are marked: a link to just this.
  function tellAddress(hash = location.hash) {
    const query = new URLSearchParams({ attempt });
    if (says.replicas > 1) query.set("replica", says.replica);
    if (needle) query.set("q", field.value);
    if (current) query.set("line", current[0]);
    const path = `${says.page}?${query}${current ? hash : ""}`;
    if (isPage) history.replaceState(null, "", path);
    return location.origin + path;
  }
  addEventListener("hashchange", () => { const lines = readHash(); if (lines) { goTo(lines[0]).then(() => { current = lines; paintCurrent(); }); } });
  view.addEventListener("click", async (event) => {
    const line = event.target.closest(".l");
    if (!line) return;
    const edge = parseFloat(getComputedStyle(line).paddingLeft);
    if (event.clientX - line.getBoundingClientRect().left > edge) return;
    const n = Number(line.dataset.n);
    const link = point(event.shiftKey && current ? current[0] : n, n);
    try { await navigator.clipboard?.writeText(link); toast($("#toast-copied")); } catch { /* the address bar has it */ }
  });

  // Following: a stream while the page is looked at; the place in it is the number of the last line.
  let stream = null, timer = 0, hiddenSince = 0;
  const setFollow = (on) => {
    follow = on && isLive;
    followButton?.setAttribute("aria-pressed", String(follow));
    if (follow) { unseen = 0; below.hidden = true; toEnd(); }
  };
  let told = isLive ? "on" : "done", known = Date.now(); // when what is shown was last known to be all there is
  const tell = (kind = told) => {
    const now = Date.now(), until = knownUntil();
    told = kind;
    if (kind === "on" && until > now - 1000) known = now;
    else { known = Math.min(known, until); if (kind === "on") kind = "off"; }
    const text = { on: total ? says.saysLive : says.saysWaits, off: says.saysAway, done: says.saysEnded }[kind];
    state.textContent = fill(text, { count: counted(total), age: span((now - known) / 1000) }, total);
    state.className = kind === "on" && total ? "live on" : "live";
  };
  if (isLive) setInterval(() => { if (told !== "done" && !document.hidden) tell(); }, 1000);
  let batch = [], frame = 0;
  function append() {
    frame = 0;
    const lines = batch.filter((line) => line.n > total);
    batch = [];
    if (!lines.length) return;
    $("#log-empty")?.remove();
    view.classList.remove("small");
    for (const line of lines) {
      if (errors && kindOf(line) === " e") errors.lines.push(line.n);
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
    tell(); // what came just before the server went is drawn after that was said
    paintMap();
    if (follow) { toEnd(); shed(); }
    else {
      unseen += lines.length;
      below.hidden = false;
      $("span", below).textContent = fill(says.saysNew, { count: counted(unseen) }, unseen);
    }
  }
  // For all its tabs a browser opens six connections to a server: so many tabs follow by a stream, the rest by asking.
  const STREAMS = 3, ASKED_EVERY = 1000;
  let giveBack = null, isOpening = false;
  async function takePlace() {
    if (giveBack || !navigator.locks) return true; // over plain HTTP a browser has no locks
    for (let n = 0; n < STREAMS && !giveBack; n++) {
      await new Promise((done) => {
        navigator.locks.request(`berth-stream-${n}`, { ifAvailable: true }, (lock) => lock && new Promise((free) => { giveBack = free; done(); })).then(done, done);
      });
    }
    return giveBack !== null;
  }
  async function ask() {
    try {
      const body = await fetchJson({ after: total, limit: BLOCK });
      batch.push(...body.items.map(read));
      append();
      if (body.complete && !body.has_more) { end(); return; }
      tell("on");
      timer = setTimeout(open, body.has_more ? 0 : ASKED_EVERY);
    } catch { tell("off"); timer = setTimeout(open, 1500 + Math.random() * 1500); }
  }
  const end = () => { close(); append(); isLive = follow = false; tell("done"); followButton?.remove(); };
  async function open() {
    if (stream || isOpening || !isLive || document.hidden) return;
    isOpening = true;
    const hasPlace = await takePlace();
    isOpening = false;
    if (document.hidden || !isLive) { close(); return; }
    if (!hasPlace) { ask(); return; }
    stream = new EventSource(url({ after: `${attempt}.${total}` }));
    stream.onopen = () => tell("on");
    stream.onmessage = (event) => {
      const item = JSON.parse(event.data);
      if (item.attempt !== attempt) return;
      batch.push(read(item));
      frame ||= requestAnimationFrame(append);
    };
    stream.addEventListener("gap", stream.onmessage);
    stream.addEventListener("end", end);
    stream.addEventListener("closed", () => { close(); isLive = follow = false; tell("off"); });
    stream.onerror = () => { tell("off"); close(); timer = setTimeout(open, 1500 + Math.random() * 1500); };
  }
  function close() { stream?.close(); stream = null; giveBack?.(); giveBack = null; clearTimeout(timer); }
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
  const look = async (query) => { const { lines, is_capped, is_partial } = (await fetchJson({ ...query, limit: 1 })).matches; return { lines, more: is_capped || is_partial ? "+" : "" }; };
  const tellHits = (list, place) => {
    const number = list.lines.length;
    hits.textContent = number ? fill(says.hits, { at: counted(place + 1), number: counted(number) + list.more }) : says.nohits;
  };
  async function search(text, goes = true) {
    needle = text ? new RegExp(`(${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "i") : null;
    at = -1;
    found = null;
    hits.textContent = "";
    if (text) found = await look({ q: text });
    await Promise.all([...loaded.keys()].map((k) => load(k, true)));
    paintMap();
    if (goes) tellAddress();
    if (text && goes) jump(1);
    else if (text) { at = found.lines.findIndex((n) => n >= current[0]); tellHits(found, Math.max(0, at)); }
  }
  async function jump(by) {
    at = walk(found.lines, at, by);
    tellHits(found, at);
    if (at >= 0) await goTo(found.lines[at]);
  }
  $("#log-search")?.addEventListener("submit", (event) => {
    if (!isPage) return;
    event.preventDefault();
    if (found && needle && field.value === field.dataset.last) { jump(1); return; }
    field.dataset.last = field.value;
    search(field.value).catch(() => { hits.textContent = says.nohits; });
  });
  $("#log-replica")?.addEventListener("change", (event) => event.target.form.submit());
  field?.addEventListener("input", () => { if (!field.value && needle) { search(""); } });
  const findErrors = async () => { errors ??= await look({ errors: true }); };
  async function nextError(by) {
    await findErrors();
    const { lines } = errors;
    if (!lines.length) { hits.textContent = says.nohits; return; }
    const from = current ? current[0] : by > 0 ? 0 : total + 1;
    const next = by > 0 ? lines.find((n) => n > from) ?? lines[0] : lines.findLast((n) => n < from) ?? lines.at(-1);
    tellHits(errors, lines.indexOf(next));
    await goTo(next);
  }
  // The map beside the scroll bar: errors and hits where they are in the whole log. For a pointer; keys have e and n.
  const map = $("#log-map"), ROWS = 400;
  const strokes = (list) => [...new Set((list ?? []).map((n) => Math.min(ROWS - 1, Math.floor(((n - 1) / total) * ROWS))))]
    .map((row) => `M0 ${row}h12v2h-12z`).join("");
  function paintMap() {
    if (!map) return;
    const shown = [errors?.lines, needle ? found?.lines : null];
    $$("path", map).forEach((path, i) => path.setAttribute("d", strokes(shown[i])));
    map.toggleAttribute("hidden", !shown.some((list) => list?.length));
  }
  map?.addEventListener("click", (event) => {
    const box = map.getBoundingClientRect(), asked = ((event.clientY - box.top) / box.height) * total;
    const marks = [...(errors?.lines ?? []), ...(needle && found ? found.lines : [])];
    const near = marks.reduce((best, n) => (Math.abs(n - asked) < Math.abs(best - asked) ? n : best), marks[0]);
    goTo(Math.abs(near - asked) <= total * 0.03 ? near : Math.round(asked));
  });
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
    hit: () => { if (found) jump(1); },
    "hit-back": () => { if (found) jump(-1); },
  });
  document.addEventListener("berth:escape", () => { if (card.classList.contains("full")) actions.full(); });

  const line = isPage && Number(new URLSearchParams(location.search).get("line"));
  const asked = readHash() ?? (line ? [line, line] : null);
  if (field?.value) { $$("pre[data-k]", view).forEach((pre) => pre.remove()); }
  build();
  if (asked) goTo(asked[0]).then(() => { current = asked; paintCurrent(); });
  else toEnd();
  if (field?.value && isPage) { current = asked; field.dataset.last = field.value; search(field.value, !asked).catch(() => {}); }
  open();
  if (map) setTimeout(() => findErrors().then(paintMap).catch(() => {}), 300);
}
