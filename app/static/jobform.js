// The form of a job definition: checked while one fills it in, and a remedy is put into its field without a round trip.
import { $ } from "./app.js";
import { follow, place } from "./checked.js";

const form = $("#job");

follow(form, (_, part) => {
  place(part("errors"), form);
  $("#wrongs").replaceChildren(...part("wrongs").childNodes);
  const asks = part("asks").textContent;
  if (asks) $("#asks").textContent = asks;
});
form.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.name !== "use") return;
  event.preventDefault();
  event.stopPropagation();
  const [key, value] = button.value.split(/=(.*)/s), field = form.elements[key];
  field.value = value;
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
