// A refined body: one slider over all iterations moves its outline on the photo, its silhouettes beside the coarse
// person's, and the mark in the curves. And how far each joint went.
import { address, calm, make } from "./hub.js";
import { plot } from "./fit.js";
import { player } from "./player.js";

const NS = "http://www.w3.org/2000/svg";
const SIDES = ["photo", "90°", "180°", "270°"];
const NOT = "Did not help: nothing agreed clearly better with the coarse person, so the fitted body was kept.";
const OFF = "Refinement was switched off for this run; this is the fitted body.";

const read = new Map();
function facts(where) {
  if (!read.has(where)) {
    const asked = fetch(address(where)).then(async (a) => (a.ok ? a.json() : { error: (await a.json()).detail }), () => ({ error: "The refinement could not be read; choose the step again." }));
    read.set(where, asked);
    asked.then((data) => data.error && read.delete(where));
  }
  return read.get(where);
}

function drawn(tag, attributes) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function refine(box) {
  const photo = drawn("image", { x: 0, y: 0, preserveAspectRatio: "none" });
  const start = drawn("path", { class: "hs-outline hs-outline-start" });
  const under = drawn("path", { class: "hs-outline hs-outline-under" });
  const line = drawn("path", { class: "hs-outline" });
  const picture = drawn("svg", { class: "hs-refine-photo", role: "img" });
  picture.append(photo, start, under, line);
  const cells = SIDES.map((name) => {
    const canvas = make("canvas", { role: "img" });
    const note = make("span", {});
    return { name, canvas, note, figure: make("figure", {}, canvas, make("figcaption", {}, make("b", {}, name), note)) };
  });
  const legend = make("ul", { class: "hs-chart-legend hs-sides-legend" }, make("li", { "data-mark": "both" }, "both"), make("li", { "data-mark": "body" }, "only the body"), make("li", { "data-mark": "person" }, "only the person"));
  const chart = make("div", { class: "hs-chart" });
  const verdict = make("p", { class: "hs-verdict", role: "status" });
  const slider = make("input", { type: "range", min: "0", max: "1", value: "1", "aria-label": "Iteration of the refinement" });
  const play = make("button", { type: "button", class: "hs-plain" }, "Play");
  const best = make("button", { type: "button", class: "hs-plain" }, "Kept");
  const words = make("span", { class: "hs-soft hs-number hs-refine-words" });
  const row = make("div", { class: "hs-refine-row" }, picture, make("div", { class: "hs-refine-side" }, make("div", { class: "hs-sides" }, ...cells.map((c) => c.figure)), legend, chart));
  const bar = make("div", { class: "hs-wipe-bar" }, play, best, slider, words);
  const still = make("img", { class: "hs-refine-still", hidden: true, alt: "The fitted body over the photo" }); // where nothing was refined
  box.append(verdict, still, row, bar);
  let shown = "", data = null, sheet = null, marker = () => {};

  const path = (lines) => lines.map((l) => `M${l.reduce((text, v, i) => text + (i % 2 ? `${v}L` : `${v} `), "").slice(0, -1)}Z`).join("");
  const stageOf = (iteration) => data.stages.filter((s) => s.from <= iteration).pop();

  function put() {
    if (!data || data.off) return;
    const at = Number(slider.value), iteration = data.iterations[at];
    const stage = stageOf(iteration), kept = iteration === data.kept;
    words.textContent = `${iteration} of ${data.last}: ${stage.title}${kept ? ", kept" : ""}`;
    slider.setAttribute("aria-valuetext", `iteration ${words.textContent}`);
    marker(iteration);
    for (const one of [under, line]) one.setAttribute("d", path(data.outlines[at]));
    picture.setAttribute("aria-label", `The body's outline over the photo at iteration ${iteration}; dashed as it was fitted`);
    box.dataset.frame = at;
    cells.forEach((cell, k) => {
      const share = data.agree[at][k];
      cell.note.textContent = share == null ? "not yet" : `${(100 * share).toFixed(1)} %`;
      cell.figure.classList.toggle("hs-idle", share == null);
      cell.canvas.setAttribute("aria-label", `Silhouettes at ${cell.name}: ${share == null ? "not compared yet" : `they agree by ${cell.note.textContent}`}`);
      if (!sheet?.naturalWidth) return;
      const wide = sheet.naturalWidth / 4, high = sheet.naturalHeight / data.iterations.length;
      const ratio = Math.min(devicePixelRatio || 1, 2), to = Math.round((cell.canvas.clientWidth || wide) * ratio);
      cell.canvas.width = to;
      cell.canvas.height = Math.round((to * high) / wide);
      const paper = cell.canvas.getContext("2d");
      paper.imageSmoothingQuality = "high";
      paper.drawImage(sheet, k * wide, at * high, wide, high, 0, 0, cell.canvas.width, cell.canvas.height);
    });
  }
  const stop = player(slider, play, put, 160);
  best.addEventListener("click", () => {
    stop();
    slider.value = data.iterations.indexOf(data.kept);
    put();
  });
  new ResizeObserver(put).observe(row);

  function begin(plate) {
    const [left, top, wide, high] = data.box, [width, height] = data.size;
    picture.setAttribute("viewBox", `${left} ${top} ${wide} ${high}`);
    photo.setAttribute("width", width);
    photo.setAttribute("height", height);
    photo.setAttribute("href", plate.photo ? address(plate.photo) : "");
    start.setAttribute("d", path(data.given));
    const marks = data.stages.slice(1).map((s) => ({ at: s.from, kind: "stage" }));
    if (data.kept >= 0) marks.push({ at: data.kept, kind: "kept", label: "kept" });
    marker = plot(chart, data.names, data.values, "iteration", marks);
    play.hidden = calm.matches; // the slider does the same, one still picture at a time
    best.hidden = data.kept < 0;
    slider.max = data.iterations.length - 1;
    slider.value = data.kept >= 0 ? data.iterations.indexOf(data.kept) : slider.max;
    sheet = new Image();
    sheet.onload = () => (put(), (box.dataset.ready = plate.sides));
    sheet.onerror = () => (words.textContent = "The silhouettes could not be drawn.");
    sheet.src = address(plate.sides);
    put();
  }
  return {
    async show(plate) {
      if (shown === plate.data) return;
      shown = plate.data;
      stop();
      data = null;
      delete box.dataset.ready;
      row.hidden = bar.hidden = still.hidden = true;
      verdict.hidden = false;
      verdict.textContent = "Reading the iterations…";
      const found = await facts(plate.data);
      if (shown !== plate.data) return;
      data = found;
      verdict.textContent = found.error || (found.off ? OFF : found.helped ? "" : NOT);
      if (found.error) shown = "";
      verdict.hidden = !verdict.textContent;
      row.hidden = bar.hidden = Boolean(found.error || found.off);
      still.hidden = !found.off;
      if (found.off) still.src = address(plate.still);
      if (!row.hidden) begin(plate);
    },
    hide: stop,
  };
}

export function joints(box) {
  const note = make("p", { class: "hs-verdict", role: "status" });
  const list = make("ol", { class: "hs-joints", "aria-label": "How far each joint went" });
  box.append(note, list);
  let shown = "";
  return {
    async show(plate) {
      if (shown === plate.data) return;
      shown = plate.data;
      list.replaceChildren();
      note.textContent = "Reading the joints…";
      const data = await facts(plate.data);
      if (shown !== plate.data) return;
      if (data.error) shown = "";
      note.textContent = data.error || (data.off ? OFF : data.helped ? "From the fitted to the refined body, in millimetres; the strong part of a bar lies in depth, which the photo does not show." : NOT);
      const most = Math.max(...(data.joints || []).map((j) => j.mm), 1);
      list.replaceChildren(...(data.joints || []).map((j) => {
        const bar = make("span", { class: "hs-joint-bar", "aria-hidden": "true" }, make("i", {}));
        bar.style.setProperty("--whole", `${(100 * j.mm) / most}%`);
        bar.style.setProperty("--deep", `${j.mm ? (100 * Math.min(Math.abs(j.away), j.mm)) / j.mm : 0}%`);
        const deep = Math.abs(j.away) >= 0.5 ? `${Math.abs(j.away).toFixed(0)} ${j.away > 0 ? "away" : "nearer"}` : "none in depth";
        return make("li", {}, make("span", {}, j.name), bar, make("b", {}, `${j.mm.toFixed(0)} mm`), make("span", { class: "hs-soft" }, deep));
      }));
    },
  };
}
