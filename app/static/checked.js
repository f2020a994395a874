// Forms that the server checks while one types: where its answer goes, and that an older one goes nowhere.
import { $$ } from "./app.js";

// Each mistake below its field; a place that has the focus, as a button of it may, is left alone.
export function place(errors, root) {
  for (const slot of $$(".errs", root)) if (!slot.contains(document.activeElement)) slot.replaceChildren();
  for (const field of $$("[aria-invalid]", root)) field.removeAttribute("aria-invalid");
  for (const one of [...errors.children]) {
    document.getElementById(one.dataset.slot)?.append(one);
    document.getElementById(one.dataset.field)?.setAttribute("aria-invalid", "true");
    const more = document.getElementById(one.dataset.field)?.closest("details");
    if (more) more.open = true;
  }
}
// An answer to what was sent before this is too old to be put anywhere; the next one is asked for by the same event.
export function follow(form, settle) {
  document.addEventListener("htmx:afterSwap", (event) => {
    const answer = event.detail.target.id === "card" ? document.getElementById("answer") : null;
    if (answer) settle(answer, (name) => answer.content.querySelector(`[data-part=${name}]`));
    answer?.remove();
  });
  form.addEventListener("input", () => form.dispatchEvent(new CustomEvent("htmx:abort", { bubbles: true, detail: { elt: form } })));
}
