// The page on which YAML is written: a problem's line is one click away, and the cursor's line is told.
import { $ } from "./app.js";

const field = $("#text"), place = $("#place");

export function go(line) {
  const rows = field.value.split("\n"), before = rows.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  field.focus();
  field.setSelectionRange(before, before + (rows[line - 1] ?? "").length);
  field.scrollTop = Math.max(0, (line - 6) * parseFloat(getComputedStyle(field).lineHeight));
}
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-line]");
  if (link) { event.preventDefault(); go(Number(link.dataset.line)); }
});
const told = (n) => place.dataset.says.replace("{number}", n);
const tell = () => { if (place) place.textContent = told(field.value.slice(0, field.selectionStart).split("\n").length); };
for (const kind of ["keyup", "click", "input", "focus"]) field.addEventListener(kind, tell);
