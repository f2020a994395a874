// The page of a new run. The server checks what is typed and answers with what changed; here it is put in its place,
// and never under the hand: what has the focus is left alone until it loses it.
import { $, $$, actions } from "./app.js";
import { follow, place } from "./checked.js";
import { go } from "./editor.js";

const form = $("#new"), text = $("#text"), was = $("#was"), fields = $("#fields"), marks = $("#marks"), doing = $("#do"), last = $("#last");
let isLate = false;

function settle(answer, part) {
  const isForced = answer.dataset.forced === "1";
  const newText = part("text"), newFields = part("fields"), at = document.activeElement;
  isLate = !isForced && Boolean((newText && at === text) || (newFields && fields.contains(at)));
  if (!isLate) {
    const row = newFields && isForced ? answer.dataset.focus : "";
    if (newText) text.value = newText.value;
    if (newFields) fields.replaceChildren(...newFields.childNodes);
    if (part("was")) was.value = part("was").value;
    if (row) (document.getElementById(row) ?? text).focus();
  }
  $("#differs").replaceChildren(...part("differs").childNodes);
  place(part("errors"), fields);
  text.toggleAttribute("aria-invalid", false);
  if ($("#problems")) text.setAttribute("aria-invalid", "true");
  marks.dataset.marks = answer.dataset.marks;
  number();
}
function number() {
  const kinds = new Map((marks.dataset.marks ?? $$("i[class]", marks).map((one) => `${one.textContent}:${one.className}`).join(" ")).split(" ").map((one) => one.split(":")));
  const count = text.value.split("\n").length;
  marks.replaceChildren(...Array.from({ length: count }, (_, index) => {
    const line = document.createElement("i");
    line.textContent = index + 1;
    line.className = kinds.get(String(index + 1)) ?? "";
    return line;
  }));
  text.rows = Math.min(Math.max(count + 1, 12), 40);
  marks.scrollTop = text.scrollTop;
}
const check = () => form.dispatchEvent(new Event("check"));

follow(form, settle);
form.addEventListener("focusout", () => { if (isLate) setTimeout(() => { isLate = false; check(); }); });
form.addEventListener("input", (event) => { last.value = event.target === text ? "text" : "fields"; });
text.addEventListener("input", number);
text.addEventListener("scroll", () => { marks.scrollTop = text.scrollTop; });

// The last row of a list is empty; when something is written in it, another one follows.
fields.addEventListener("input", (event) => {
  const row = event.target.closest("[data-row]"), list = row?.parentElement;
  if (!row || row !== list.lastElementChild || !event.target.value) return;
  const next = row.cloneNode(true), from = row.dataset.row, to = String(Number(from) + 1);
  next.dataset.row = to;
  for (const el of [next, ...$$("[id],[name],[aria-describedby]", next)]) {
    for (const name of ["id", "name", "aria-describedby"]) {
      const value = el.getAttribute(name);
      if (value) el.setAttribute(name, value.replace(new RegExp(`([-.])${from}(?=[-.]|$)`), `$1${to}`));
    }
    el.removeAttribute("aria-invalid");
    el.removeAttribute("autofocus");
    if (el.tagName === "INPUT") el.value = "";
    if (el.classList.contains("errs")) el.replaceChildren();
  }
  list.append(next);
});

// Checks and fixes happen here; only a submit leaves the page.
form.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.name !== "do") return;
  event.preventDefault();
  event.stopPropagation();
  doing.value = button.value;
  doing.disabled = button.value === "check";
  check();
  doing.disabled = true;
});
actions.submit = () => form.requestSubmit($("#submit"));
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !$("dialog[open]")) { event.preventDefault(); actions.submit(); }
});

number();
const first = $("[autofocus]");
if (first) {
  first.focus();
  if (first === text) { const line = $("#problems [data-line]"); if (line) go(Number(line.dataset.line)); else if (location.search.includes("focus=yaml")) text.select(); } else first.select?.();
}
