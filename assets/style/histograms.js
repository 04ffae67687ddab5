// How large and how opaque splats are: bars of what was seen, seen at a grazing angle, and invented.
import { address, make } from "./hub.js";

const NS = "http://www.w3.org/2000/svg";
const WIDE = 380, HIGH = 230, LEFT = 46, RIGHT = 10, TOP = 16, LOW = 26;
const WORDS = 140; // the width of a mark's words

export function histograms(box) {
  const charts = make("div", { class: "hs-histograms" });
  const words = make("p", { class: "hs-soft hs-histogram-words", role: "status", hidden: true });
  const legend = make("ul", { class: "hs-legend hs-legend-row", "aria-label": "Colours" });
  box.append(charts, words, make("div", { class: "hs-wipe-bar" }, legend));
  let shown = "";
  const tell = (sentence) => ([words.textContent, words.hidden] = [sentence, !sentence]);
  return {
    async show(plate) {
      if (shown === plate.data) return;
      shown = plate.data;
      charts.replaceChildren();
      delete box.dataset.ready;
      tell("Counting the splats…");
      legend.replaceChildren(...plate.legend.map(([name, label]) => make("li", { "data-seen": name }, label)));
      const answer = await fetch(address(plate.data)).catch(() => null);
      const data = await answer?.json().catch(() => null);
      if (shown !== plate.data) return;
      if (!answer?.ok || !data) {
        shown = "";
        return tell(data?.detail || "The splats could not be counted; choose the step again.");
      }
      tell("");
      charts.replaceChildren(...data.charts.map((c) => draw(c, data.names)));
      box.dataset.ready = plate.data;
    },
  };
}

function draw(chart, names) {
  const node = (tag, attributes, text) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text != null) element.textContent = text;
    return element;
  };
  const { edges, counts } = chart, bins = edges.length - 1;
  const sums = edges.slice(1).map((_, b) => counts.reduce((sum, row) => sum + row[b], 0));
  const all = sums.reduce((a, b) => a + b, 0) || 1, most = Math.max(...sums, 1);
  const way = (v) => (chart.log ? Math.log(v) : v);
  const x = (v) => LEFT + ((way(v) - way(edges[0])) / (way(edges[bins]) - way(edges[0]))) * (WIDE - LEFT - RIGHT);
  const y = (n) => HIGH - LOW - (n / most) * (HIGH - LOW - TOP);
  const unit = chart.unit && ` ${chart.unit}`, short = (v) => Number(v.toPrecision(2)).toString();
  const drawing = node("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${chart.title}. ${chart.words}` });
  for (const part of [0, 0.5, 1]) {
    const at = y(part * most);
    drawing.append(node("line", { x1: LEFT, x2: WIDE - RIGHT, y1: at, y2: at, class: "hs-grid" }), node("text", { x: LEFT - 6, y: at + 4, class: "hs-tick", "text-anchor": "end" }, `${short((100 * part * most) / all)} %`));
  }
  for (let b = 0; b < bins; b++) {
    let from = 0;
    const bar = node("g", {});
    bar.append(node("title", {}, `${short(edges[b])} to ${short(edges[b + 1])}${unit}: ${sums[b].toLocaleString("en")} splats, ${((100 * sums[b]) / all).toFixed(1)} %`));
    counts.forEach((row, k) => {
      if (!row[b]) return;
      const [low, high] = [y(from), y(from + row[b])];
      from += row[b];
      bar.append(node("rect", { x: x(edges[b]) + 0.5, width: Math.max(x(edges[b + 1]) - x(edges[b]) - 1, 0.5), y: high, height: low - high, "data-seen": names[k] }));
    });
    drawing.append(bar);
  }
  for (const tick of chart.ticks) {
    const at = x(tick);
    drawing.append(node("line", { x1: at, x2: at, y1: HIGH - LOW, y2: HIGH - LOW + 5, class: "hs-grid" }), node("text", { x: at, y: HIGH - LOW + 19, class: "hs-tick", "text-anchor": "middle" }, short(tick)));
  }
  for (const [at, label] of chart.marks) {
    const right = x(at) > WIDE - WORDS; // the words stand where there is room
    drawing.append(node("line", { x1: x(at), x2: x(at), y1: TOP - 6, y2: HIGH - LOW, class: "hs-mark" }), node("text", { x: x(at) + (right ? -6 : 6), y: TOP + 2, class: "hs-tick hs-tick-mark", "text-anchor": right ? "end" : "start" }, label));
  }
  return make("figure", {}, make("figcaption", {}, make("b", {}, chart.title), chart.unit && make("span", { class: "hs-soft" }, ` in ${chart.unit}`)), drawing, make("p", { class: "hs-soft" }, chart.words));
}
