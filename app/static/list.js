// Ticking rows of the runs list: keys, ranges, the count. What is done with them is a plain form.
// The menu of a row and the choice of columns are asked for when they open, and share one pop-up.
import { $, $$, actions } from "./app.js";

const form = $("#picks"), all = $("#pick-all"), count = $("#pick-count");
const boxes = () => $$("#rows input[name=runs]");
let last = null;

function tell() {
  const found = boxes(), ticked = found.filter((box) => box.checked).length;
  count.textContent = all.checked ? form.dataset.all : form.dataset.some.replace("{count}", String(ticked).replace(/\B(?=(\d{3})+$)/g, ","));
  $("#pick-compare").disabled = all.checked || ticked < 2 || ticked > 20;
  for (const box of found) box.closest("tr").classList.toggle("on", box.checked);
  $("#pick-page").checked = ticked === found.length && ticked > 0;
}
function range(to) {
  const found = boxes(), from = found.indexOf(last), end = found.indexOf(to);
  if (from < 0 || end < 0) { to.checked = true; return; }
  for (const box of found.slice(Math.min(from, end), Math.max(from, end) + 1)) box.checked = true;
}
const current = () => $("#rows tr.at input[name=runs]") ?? $("#rows tr:focus-within input[name=runs]");
const remember = () => sessionStorage.setItem("berth-list", boxes().map((box) => box.value).join(" "));
function clear() {
  for (const box of boxes()) box.checked = false;
  all.checked = false;
  tell();
}
const pop = document.createElement("div");
let anchor = null;
async function open(from, url, select) {
  if (anchor) anchor.ariaExpanded = "false";
  anchor = from;
  if (pop.matches(":popover-open")) pop.hidePopover();
  pop.replaceChildren();
  await htmx.ajax("GET", url, { source: pop, target: pop, swap: "innerHTML", select });
  if (anchor !== from || !pop.firstElementChild) return; // another was opened, or the answer is a toast
  pop.showPopover();
  place();
  $("[role=menuitem],[type=checkbox]", pop)?.focus({ preventScroll: true });
}
function place() {
  if (!pop.matches(":popover-open")) return;
  const at = anchor.getBoundingClientRect(), below = at.bottom + 4;
  pop.style.left = `${Math.max(8, Math.min(at.right, innerWidth - 8) - pop.offsetWidth)}px`;
  pop.style.top = `${Math.max(8, below + pop.offsetHeight > innerHeight - 8 ? at.top - 4 - pop.offsetHeight : below)}px`;
}
const rowMenu = (button) => {
  const q = encodeURIComponent($("input[name=q]", form).value);
  open(button, `${$("a", button.closest("tr")).pathname}/menu?q=${q}`);
};
function addDots() {
  const sign = $("[popovertarget=user-menu] svg"), said = $("[data-menu]").dataset.menu;
  for (const cell of $$("#rows .c-dots:empty")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn ghost sm icon";
    button.ariaHasPopup = "menu";
    button.ariaLabel = said.replace("{name}", () => $("a", cell.parentElement).textContent);
    button.append(sign.cloneNode(true));
    cell.append(button);
  }
}
if (form) {
  pop.className = "menu-pop";
  pop.id = "pop";
  pop.popover = "auto";
  $("#main").append(pop);
  addDots();
  addEventListener("resize", place);
  pop.addEventListener("toggle", (event) => { anchor.ariaExpanded = event.newState === "open"; });
  pop.addEventListener("click", (event) => { if (event.target.closest("[role=menuitem]")) pop.hidePopover(); });
  pop.addEventListener("keydown", (event) => {
    const items = $$("[role=menuitem]", pop), at = items.indexOf(document.activeElement), { key } = event;
    if (key === "Escape" || (key === "Tab" && items.length)) {
      if (key === "Escape") event.preventDefault();
      pop.hidePopover();
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (key.length === 1) event.stopPropagation(); // a letter is no key of the list now
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[key];
    const named = (item) => key.length === 1 && item.innerText.trim().toLowerCase().startsWith(key.toLowerCase());
    const found = to === undefined ? [...items.slice(at + 1), ...items].find(named) : items.at(to % items.length);
    if (found && key !== " ") { event.preventDefault(); found.focus(); }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".c-dots button"), link = event.target.closest("#columns");
    if (button) rowMenu(button);
    else if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(link, link.href, "#columns-form");
    }
  });
  Object.assign(actions, {
    // With the first row where none is current, and on to the next: `x x` ticks two.
    pick: () => {
      if (!current()) actions.next();
      const box = current();
      if (box) { box.checked = !box.checked; last = box; tell(); actions.next(); }
    },
    "pick-range": () => { const box = current(); if (box) { range(box); last = box; tell(); } },
    "pick-page": () => { const found = boxes(), on = found.some((box) => !box.checked); for (const box of found) box.checked = on; tell(); },
    compare: () => $("#pick-compare").click(),
    // What is ticked, or else the current row; a page asks before anything is stopped.
    stop: () => {
      const box = current();
      if (box && !all.checked && !boxes().some((one) => one.checked)) { box.checked = true; tell(); }
      if (all.checked || boxes().some((one) => one.checked)) $("#picks [value=stop]")?.click();
    },
    "pick-none": clear,
    "row-menu": () => {
      if (!current()) actions.next();
      const button = $(".c-dots button", current()?.closest("tr") ?? form);
      if (button) rowMenu(button);
    },
    "row-pick": () => { const box = $("input[name=runs]", anchor.closest("tr")); box.checked = true; last = box; tell(); },
  });
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (box.name !== "runs") return;
    if (event.shiftKey && box.checked) range(box);
    last = box;
    tell();
  });
  all.addEventListener("change", tell);
  $("#pick-page").addEventListener("change", (event) => { for (const box of boxes()) box.checked = event.target.checked; tell(); });
  document.addEventListener("berth:escape", clear);
  document.addEventListener("htmx:afterSettle", () => { addDots(); tell(); remember(); });
  addEventListener("pageshow", tell); // after going back the browser ticks what was ticked
  tell();
  remember();
}
