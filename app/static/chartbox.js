// What few ask of charts: the part that is shown, by typing it; and a chart as a picture. Loaded when it is asked for.
import { $ } from "./app.js";

const two = (n) => String(n).padStart(2, "0");
// Seconds since 1970 as a field for local times has them, and back.
const written = (seconds) => {
  const at = new Date(seconds * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};

// The dialog with the two ends of what is shown. They are in the units of the axis: steps, seconds, or times of day.
export function range(set) {
  const dialog = $("#ask-range"), form = $("form", dialog), isTime = set.axis === "time";
  const plot = $(".uplot") && [...document.querySelectorAll(".chart")].find((el) => el.plot)?.plot;
  const ends = set.zoom ?? [plot?.scales.x.min ?? 0, plot?.scales.x.max ?? 0];
  const fields = [form.elements.from, form.elements.to];
  const value = (field) => (isTime ? new Date(field.value).getTime() / 1000 : field.valueAsNumber);
  fields.forEach((field, i) => {
    field.type = isTime ? "datetime-local" : "number";
    field.step = isTime ? "1" : "any";
    field.value = isTime ? written(ends[i]) : String(Number(ends[i].toFixed(3)));
    field.setCustomValidity("");
    field.oninput = () => fields[1].setCustomValidity(value(fields[0]) < value(fields[1]) ? "" : dialog.dataset.saysOrder);
  });
  $("[data-unit]", dialog).textContent = form.dataset[set.axis];
  form.onsubmit = () => set.zoomTo(fields.map(value));
  $("[value=close]", form).onclick = () => dialog.close();
  dialog.showModal();
  fields[0].focus();
}

// The chart as it is drawn now, on the page's ground, with its name above.
export function picture(el, name) {
  const plot = el.plot.ctx.canvas, canvas = document.createElement("canvas"), more = 24 * devicePixelRatio;
  canvas.width = plot.width;
  canvas.height = plot.height + more;
  const to = canvas.getContext("2d"), look = getComputedStyle(el.closest(".card"));
  to.fillStyle = look.backgroundColor;
  to.fillRect(0, 0, canvas.width, canvas.height);
  to.fillStyle = look.color;
  to.font = `${12 * devicePixelRatio}px ${look.fontFamily}`;
  to.fillText(name, 8 * devicePixelRatio, 16 * devicePixelRatio);
  to.drawImage(plot, 0, more);
  canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name.replace(/[^\p{L}\p{N}._-]+/gu, "-")}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}
