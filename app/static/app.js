// What every page has: theme, keys, dialogs, copying, durations that count on, and manners for htmx.
// Nothing here is needed to read a page or to send a form.
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const page = document.documentElement;

export const remember = (name, value) => {
  document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=31536000; samesite=lax`;
};
// When there is nothing else to do: reading cookies and finding the zone take as long as drawing a table.
const later = window.requestIdleCallback ?? ((act) => setTimeout(act, 200));
later(() => {
  if (document.cookie.includes("berth_zone=")) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) later(() => remember("berth_zone", zone));
});

// Toasts stand beside the page's own words, never in their place.
const toasts = $("#toasts");
export function toast(source, stays = false) {
  const shown = source instanceof HTMLTemplateElement ? source.content.firstElementChild.cloneNode(true) : source;
  if (!toasts || !shown) return null;
  toasts.append(shown);
  if (!stays) setTimeout(() => shown.remove(), 6000);
  return shown;
}

// Spans of time, as formats.span writes them.
const units = page.lang.startsWith("zh") ? ["天", "时", "分", "秒", ""] : ["d", "h", "m", "s", " "];
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0"), [D, H, M, S, gap] = units;
  if (s < 60) return s + S;
  if (s < 600) return Math.floor(s / 60) + M + gap + two(s % 60) + S;
  if (s < 3600) return Math.floor(s / 60) + M;
  if (s < 86400) return Math.floor(s / 3600) + H + gap + two(Math.floor((s % 3600) / 60)) + M;
  return Math.floor(s / 86400) + D + gap + Math.floor((s % 86400) / 3600) + H;
}
// Until when what is shown is known: now, but for a server that does not answer, or the notes of what else does not.
let heard = Date.now(), offline = null;
export const knownUntil = () => Math.min(offline ? heard : Date.now(), Number($("#outage")?.dataset.until) || Infinity);
setInterval(() => {
  if (document.hidden) return;
  const now = Date.now(), known = knownUntil();
  for (const el of $$("[data-since]")) {
    const since = Number(el.dataset.since), text = span(((since < known ? known : now) - since) / 1000);
    if (el.textContent !== text) el.textContent = text;
  }
}, 1000);

// The palette: arrows walk through what was found, Enter in the field opens the first, letters go on typing.
const palette = $("#palette");
palette?.addEventListener("keydown", (event) => {
  const links = $$("a", palette), at = links.indexOf(document.activeElement), field = $("input", palette);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    (links[at + (event.key === "ArrowDown" ? 1 : -1)] ?? (event.key === "ArrowDown" ? links.at(-1) : field))?.focus();
  } else if (event.key === "Enter" && at < 0) {
    event.preventDefault();
    if (field.dataset.found === field.value) links[0]?.click();
    else field.dataset.go = "1";
  } else if (at >= 0 && event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey) field.focus();
});
palette?.addEventListener("htmx:afterSettle", () => {
  const field = $("input", palette);
  field.dataset.found = field.value;
  if (field.dataset.go) { delete field.dataset.go; $("a", palette)?.click(); }
});

// Actions by name: the key sheet, buttons with data-does, and other modules share them.
const leave = (selector) => { const link = $(selector); if (link) location.href = link.href; };
export const actions = {
  back: () => history.back(),
  sheet: () => $("#keys")?.showModal(),
  palette: () => {
    if (!palette || palette.open) return;
    palette.showModal();
    $("input", palette).value = "";
    $("input", palette).dispatchEvent(new Event("show"));
  },
  filter: () => { const field = $("#filter") || $("#log-search input[name=q]"); field?.focus(); field?.select(); },
  home: () => leave("#nav-home"),
  runs: () => leave("#nav-runs"),
  jobs: () => leave("#nav-jobs"),
  projects: () => { $("#projects")?.showPopover(); $("#projects a")?.focus(); },
  theme: () => {
    const dark = getComputedStyle(page).colorScheme === "dark" ||
      (!page.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    page.dataset.theme = dark ? "light" : "dark";
    remember("berth_theme", page.dataset.theme);
    document.dispatchEvent(new Event("berth:theme"));
  },
  next: () => step(1),
  previous: () => step(-1),
  open: () => { const link = $("tr.at a"); if (link) location.href = link.href; },
  ...Object.fromEntries(["overview", "logs", "metrics", "system", "outputs", "spec", "events"].map((tab) => [`tab-${tab}`, () => leave(`[data-tab=${tab}]:not([aria-current])`)])),
  "run-before": () => neighbour(-1),
  "run-after": () => neighbour(1),
  diff: () => $("#diff input[name=diff]")?.focus(),
  stop: () => $("#stop")?.click(),
  rerun: () => $("#rerun")?.focus(),
  "new-run": () => leave("#new-run"),
  clone: () => {
    const row = $("#rows tr.at") ?? $("#rows tr:focus-within"), link = $("#new-run");
    if (row && link) location.href = `${link.href}?from=${row.id}`;
    else leave("#clone");
  },
};
// The run before or after this one in the list that was looked at last, on the same tab.
function neighbour(by) {
  const ids = (sessionStorage.getItem("berth-list") ?? "").split(" "), parts = location.pathname.split("/");
  const to = ids[ids.indexOf(parts[4]) + by];
  if (!ids.includes(parts[4]) || !to) return;
  parts[4] = to;
  location.href = parts.join("/");
}
function step(by) {
  const rows = $$("[data-rows] tbody tr"), at = rows.findIndex((row) => row.classList.contains("at"));
  const to = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  if (!to) return;
  rows[at]?.classList.remove("at");
  to.classList.add("at");
  to.scrollIntoView({ block: "nearest" });
  $("a", to)?.focus({ preventScroll: true });
}

// Keys: the rows of the sheet are the map. Off while typing, and when the sheet's switch is off.
const presses = new Map($$("[data-press]").map((row) => [row.dataset.press, row.dataset.does]));
const chords = new Set([...presses.keys()].filter((p) => p.includes(" ")).map((p) => p[0]));
const keysOn = $("#keys-on");
if (keysOn) {
  keysOn.checked = localStorage.getItem("berth-keys") !== "off";
  keysOn.addEventListener("change", () => localStorage.setItem("berth-keys", keysOn.checked ? "on" : "off"));
}
let chord = "";
addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "k") { event.preventDefault(); actions.palette(); return; }
  if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
  const target = event.target;
  if (target.matches?.("input:not([type=checkbox]):not([type=range]),textarea,select")) {
    if (event.key === "Escape") target.blur();
    return;
  }
  if (event.key === "Escape") { document.dispatchEvent(new Event("berth:escape")); return; }
  if ($("dialog[open]") || (keysOn && !keysOn.checked && event.key !== "?")) return;
  if (event.key === "Enter" && target.matches?.("a,button,summary,input")) return;
  const does = presses.get(chord ? `${chord} ${event.key}` : event.key);
  if (!does && !chord && chords.has(event.key)) {
    chord = event.key;
    setTimeout(() => { chord = ""; }, 1200);
    return;
  }
  chord = "";
  if (does && actions[does]) { event.preventDefault(); actions[does](); }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button,[data-copy],#open-palette");
  if (!button) return;
  if (button.id === "open-palette") { event.preventDefault(); actions.palette(); }
  else if (button.id === "show-keys") actions.sheet();
  else if (button.dataset.does) actions[button.dataset.does]?.();
  else if (button.dataset.copy) {
    await navigator.clipboard?.writeText(button.dataset.copy);
    toast($("#toast-copied"));
  } else if (button.dataset.ask) {
    const dialog = document.getElementById(button.dataset.ask);
    if (dialog) { event.preventDefault(); dialog.showModal(); }
  }
});
// A form is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  const button = event.submitter;
  if (event.target.dataset.sent) event.preventDefault();
  else if (!button?.dataset.ask) { event.target.dataset.sent = "1"; setTimeout(() => delete event.target.dataset.sent, 4000); }
});

// htmx: no polls from hidden tabs; nothing that is swapped takes focus, selection or an open menu with it.
const polls = (el) => el?.closest?.("[data-poll]");
const isHeld = (el) => {
  const selection = getSelection();
  return el.contains(document.activeElement) || (!selection.isCollapsed && selection.containsNode(el, true));
};
// A poll without an answer says so soon, waits on for the answer of a slow server, and for a lost one not for ever.
const PATIENCE = 2500;
document.addEventListener("htmx:configRequest", (event) => { if (polls(event.detail.elt)) event.detail.timeout = 8 * PATIENCE; });
document.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, xhr } = event.detail;
  if (!polls(elt)) $("#slow")?.classList.add("on");
  else if (document.hidden) event.preventDefault();
  else {
    const waits = setTimeout(away, PATIENCE);
    xhr.addEventListener("loadend", () => clearTimeout(waits));
  }
});
document.addEventListener("htmx:afterRequest", (event) => {
  $("#slow")?.classList.remove("on");
  const { elt, successful, xhr } = event.detail, notes = $("#outage");
  if (!successful) return;
  heard = Date.now();
  back();
  const key = xhr.getResponseHeader("Berth-Outage") ?? "";
  if (!notes || !polls(elt)) return;
  if (!$("[data-poll]")) notes.remove(); // nothing lives here any more
  if (notes.dataset.key === key || !notes.isConnected) return;
  notes.dataset.key = key;
  htmx.ajax("GET", location.href, { source: notes, target: notes, select: "#outage", swap: "outerHTML" });
});
let isPoll = false, rowsBefore = 0;
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr, target, elt } = event.detail;
  isPoll = Boolean(polls(elt));
  rowsBefore = $$("#rows tr").length;
  if (xhr.status >= 400) {
    event.detail.shouldSwap = false;
    const text = xhr.getResponseHeader("HX-Retarget") === "#toasts" ? xhr.responseText : "";
    if (text && !polls(elt)) {
      const box = document.createElement("template");
      box.innerHTML = text;
      toast(box.content.firstElementChild, true);
    } else if (xhr.status >= 500) away();
  } else if (polls(elt) && isHeld(target)) event.detail.shouldSwap = false;
});
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (isPoll && event.detail.target.id !== "actions" && isHeld(event.detail.target)) event.detail.shouldSwap = false;
});
// After "load more" the next thing to read is the first new row.
document.addEventListener("htmx:afterSettle", (event) => {
  if (!isPoll && event.detail.target.id === "rows") $$("#rows tr")[rowsBefore]?.querySelector("a")?.focus();
});
const away = () => { offline ??= toast($("#toast-offline"), true); };
const back = () => { offline?.remove(); offline = null; };
document.addEventListener("htmx:sendError", away);
addEventListener("online", back);
