// The recorded fit: a sheet of pictures under a slider, with its curves; and plain curves.
import { address, make } from "./hub.js";
import { player } from "./player.js";

const COLUMNS = 6;
const NS = "http://www.w3.org/2000/svg";
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9", "#7a5cc4", "#6b6b6b"];

export function fit(box) {
  const canvas = make("canvas", { class: "hs-fit-picture", role: "img", "aria-label": "The body at this iteration, over the photo" });
  const slider = make("input", { type: "range", min: "0", max: "1", value: "1", "aria-label": "Iteration of the fit" });
  const play = make("button", { type: "button", class: "hs-plain" }, "Play");
  const words = make("span", { class: "hs-soft hs-number" });
  const chart = make("div", { class: "hs-chart" });
  box.append(make("div", { class: "hs-fit-row" }, canvas, chart), make("div", { class: "hs-wipe-bar" }, play, slider, words));
  let data = null, shown = "", sheet = null, marker = () => {};
  const put = () => {
    if (!data) return;
    const at = Number(slider.value), iteration = data.iterations[at];
    words.textContent = `iteration ${iteration} of ${data.last}`;
    slider.setAttribute("aria-valuetext", words.textContent);
    marker(iteration);
    if (!sheet?.complete || !sheet.naturalWidth) return;
    const side = sheet.naturalWidth / COLUMNS;
    const wide = Math.round(side * (data.wide || 1)), left = Math.floor((side - wide) / 2);
    canvas.width = wide; // the frames are square; what is shown is as wide as the person
    canvas.height = side;
    canvas.getContext("2d").drawImage(sheet, (at % COLUMNS) * side + left, Math.floor(at / COLUMNS) * side, wide, side, 0, 0, wide, side);
    canvas.dataset.frame = at;
  };
  const stop = player(slider, play, put, 120);
  return {
    async show(plate) {
      if (shown === plate.data) return;
      shown = plate.data;
      data = null;
      const answer = await fetch(address(plate.data));
      if (!answer.ok || shown !== plate.data) return;
      data = await answer.json();
      marker = plot(chart, data.names, data.values, "iteration");
      slider.max = data.iterations.length - 1;
      slider.value = slider.max;
      sheet = new Image();
      sheet.onload = put;
      sheet.src = address(plate.sheet);
      put();
    },
    hide: stop,
  };
}

export function curve(box) {
  const chart = make("div", { class: "hs-chart hs-alone" });
  box.append(chart);
  let shown = "";
  return {
    async show(plate) {
      if (shown === plate.data) return;
      shown = plate.data;
      const answer = await fetch(address(plate.data));
      if (!answer.ok || shown !== plate.data) return;
      const data = await answer.json();
      plot(chart, data.names, data.values, "iteration");
    },
  };
}

// Lines over iterations; logarithmic upwards when all values are positive. marks: [{at, kind, label}], lines that stay.
// Returns a function that moves the marker.
export function plot(chart, names, values, along, marks = []) {
  const wide = 360, high = 300, left = 44, low = 26;
  const node = (tag, attributes, text) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text != null) element.textContent = text;
    return element;
  };
  const all = values.flat().filter((v) => v != null && Number.isFinite(v));
  const positive = all.filter((v) => v > 0);
  const log = positive.length > 0 && all.every((v) => v >= 0);
  const floor = log ? Math.max(Math.min(...positive), Math.max(...positive) * 1e-5) : Math.min(...all, 0);
  const scale = (v) => (log ? Math.log10(Math.max(v, floor)) : v);
  const [down, up] = [scale(floor), Math.max(scale(Math.max(...all)), scale(floor) + 1e-6)];
  const x = (i) => left + (i / Math.max(values.length - 1, 1)) * (wide - left - 10);
  const y = (v) => 10 + (1 - (scale(v) - down) / (up - down)) * (high - low - 14);
  const drawing = node("svg", { viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `Curves of ${names.join(", ")} over ${values.length} iterations` });
  for (let k = 0; k <= 3; k++) {
    const value = down + ((up - down) * k) / 3;
    const label = Number((log ? 10 ** value : value).toPrecision(2)).toString();
    const at = 10 + (1 - k / 3) * (high - low - 14);
    drawing.append(node("line", { x1: left, x2: wide - 10, y1: at, y2: at, class: "hs-grid" }), node("text", { x: left - 6, y: at + 4, class: "hs-tick", "text-anchor": "end" }, label));
  }
  drawing.append(node("text", { x: wide - 10, y: high - 4, class: "hs-tick", "text-anchor": "end" }, `${values.length - 1} ${along}s`), node("text", { x: left, y: high - 4, class: "hs-tick" }, "0"));
  for (const { at, kind, label } of marks) {
    drawing.append(node("line", { x1: x(at), x2: x(at), y1: 10, y2: high - low - 4, class: `hs-mark-${kind}` }));
    if (label) drawing.append(node("text", { x: x(at) - 4, y: high - low - 10, class: "hs-tick", "text-anchor": "end" }, label));
  }
  names.forEach((name, t) => {
    const path = values.map((row, i) => (row[t] == null ? "" : `${i && values[i - 1][t] != null ? "L" : "M"}${x(i).toFixed(1)} ${y(row[t]).toFixed(1)}`)).join("");
    drawing.append(node("path", { d: path, stroke: HUES[t % HUES.length], "stroke-dasharray": t >= HUES.length ? "5 3" : "none", class: "hs-path" }));
  });
  const mark = node("line", { y1: 10, y2: high - low - 4, class: "hs-mark" });
  drawing.append(mark);
  const legend = make("ul", { class: "hs-chart-legend" }, ...names.map((name, t) => {
    const item = make("li", {}, name);
    item.style.setProperty("--hue", HUES[t % HUES.length]);
    item.classList.toggle("hs-dashed", t >= HUES.length);
    return item;
  }));
  chart.replaceChildren(drawing, legend);
  mark.style.display = "none";
  return (i) => {
    mark.style.display = "";
    mark.setAttribute("x1", x(i));
    mark.setAttribute("x2", x(i));
  };
}
