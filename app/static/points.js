// The points of one metric as a table, which takes the place of its chart. `fill` draws it anew from `series`.
import { number, show } from "./charts.js";

const line = (cells, tag) => {
  const row = document.createElement("tr");
  for (const text of cells) {
    const cell = document.createElement(tag);
    cell.className = "num";
    cell.textContent = text;
    if (tag === "th") cell.scope = "col";
    row.append(cell);
  }
  return row;
};

export function pointsOf(name, series, says) {
  const box = document.createElement("div");
  box.className = "scroll points";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", name);
  box.fill = () => {
    const one = series.get(name), made = document.createElement("table");
    if (!one) return;
    made.className = "tbl dense";
    made.append(document.createElement("thead"), document.createElement("tbody"));
    made.tHead.append(line([says.saysStep, says.saysTime, says.saysValue], "th"));
    const value = (i) => (number(one.last[i]) === null ? one.last[i] : show(one.last[i]));
    made.tBodies[0].append(...one.step.map((step, i) => line([step.toLocaleString("en-US"), new Date(one.at_ms[i]).toLocaleTimeString(), value(i)], "td")));
    box.replaceChildren(made);
  };
  box.fill();
  return box;
}
