// Ticking rows of the runs list: keys, ranges, the count. What is done with them is a plain form.
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
if (form) {
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
  document.addEventListener("htmx:afterSettle", () => { tell(); remember(); });
  addEventListener("pageshow", tell); // after going back the browser ticks what was ticked
  tell();
  remember();
}
