// Pictures under a slider: a sampler's estimates step by step, or a volume slice by slice. All of them lie in a sheet
// that is read once, so that scrubbing asks the server for nothing.
import { address, calm, make } from "./hub.js";
import { plot } from "./fit.js";
import { player } from "./player.js";

const PAUSE = 260; // milliseconds of a picture while it plays

export function strip(box) {
  const tracks = make("div", { class: "hs-strip-tracks" });
  const chart = make("div", { class: "hs-chart" });
  const title = make("p", { class: "hs-soft hs-strip-title" });
  const beside = make("div", { class: "hs-strip-beside" }, title, chart);
  const which = make("div", { class: "hs-switch", role: "group", "aria-label": "Which way" });
  const play = make("button", { type: "button", class: "hs-plain" }, "Play");
  const slider = make("input", { type: "range", min: "0", max: "0", value: "0", "aria-label": "Which picture" });
  const words = make("span", { class: "hs-soft hs-number hs-strip-words", role: "status" });
  const row = make("div", { class: "hs-strip-row" }, tracks, beside);
  const bar = make("div", { class: "hs-wipe-bar" }, play, slider, which, words);
  box.append(row, bar);
  let plate = null, data = null, chosen = 0, shown = [], marker = () => {};

  function put() {
    if (!data) return;
    const group = data.groups[chosen], at = Number(slider.value), count = group.words.length;
    words.textContent = group.words[at];
    slider.setAttribute("aria-valuetext", group.words[at]);
    box.dataset.frame = at;
    marker(at);
    const across = Math.min(data.across, count), down = Math.ceil(count / across);
    for (const { canvas, sheet, smooth } of shown) {
      if (!sheet.naturalWidth) continue;
      const wide = sheet.naturalWidth / across, high = sheet.naturalHeight / down;
      const ratio = Math.min(devicePixelRatio || 1, 2), room = canvas.parentElement;
      const scale = Math.min((room.clientWidth * ratio) / wide, (room.clientHeight * ratio) / high);
      // Squares stay squares: a whole number of screen pixels for each, as long as there is room for one.
      const times = smooth || scale < 1 ? scale : Math.floor(scale);
      canvas.width = Math.max(1, Math.round(wide * times));
      canvas.height = Math.max(1, Math.round(high * times));
      canvas.style.width = `${canvas.width / ratio}px`;
      const paper = canvas.getContext("2d");
      paper.imageSmoothingEnabled = smooth || times < 1;
      paper.imageSmoothingQuality = "high";
      paper.drawImage(sheet, (at % across) * wide, Math.floor(at / across) * high, wide, high, 0, 0, canvas.width, canvas.height);
      canvas.setAttribute("aria-label", group.words[at]);
    }
  }

  const stop = player(slider, play, put, PAUSE);
  new ResizeObserver(put).observe(row);

  function choose(k) {
    stop();
    chosen = k;
    const group = data.groups[k], now = plate;
    [...which.children].forEach((b, j) => b.setAttribute("aria-pressed", j === k ? "true" : "false"));
    slider.max = group.words.length - 1;
    slider.value = group.start;
    delete box.dataset.ready;
    let waiting = group.tracks.length;
    shown = group.tracks.map(({ sheet: name, label, smooth }) => {
      const canvas = make("canvas", { role: "img" }), sheet = new Image();
      sheet.onload = () => {
        put();
        waiting -= 1;
        if (!waiting && plate === now && chosen === k) box.dataset.ready = `${now.id}-${k}`;
      };
      sheet.onerror = () => (words.textContent = "These pictures could not be made.");
      sheet.src = address(now.sheets[name]);
      const figure = make("figure", {}, make("div", { class: "hs-strip-room" }, canvas), label ? make("figcaption", {}, label) : null);
      return { canvas, sheet, smooth, figure };
    });
    tracks.dataset.count = shown.length;
    tracks.replaceChildren(...shown.map((s) => s.figure));
    put();
  }

  return {
    async show(next) {
      if (plate && plate.data === next.data) return;
      stop();
      plate = next;
      data = null;
      shown = [];
      delete box.dataset.ready;
      tracks.replaceChildren();
      beside.hidden = bar.hidden = true;
      const answer = await fetch(address(next.data)).catch(() => null);
      const found = await answer?.json().catch(() => null);
      if (plate !== next) return;
      bar.hidden = false;
      const there = answer?.ok && found;
      slider.hidden = play.hidden = !there;
      which.replaceChildren();
      if (!there) {
        plate = null;
        words.textContent = found?.detail || "This could not be read; choose the step again.";
        return;
      }
      data = found;
      play.hidden = calm.matches; // the slider does the same, one still picture at a time
      which.hidden = data.groups.length < 2;
      which.replaceChildren(...data.groups.map((g, k) => make("button", { type: "button", onclick: () => choose(k) }, g.label)));
      beside.hidden = !data.curves;
      marker = () => {};
      if (data.curves) {
        title.textContent = data.curves.title;
        marker = plot(chart, data.curves.names, data.curves.values, "estimate");
      }
      choose(Math.min(chosen, data.groups.length - 1));
    },
    hide: stop,
  };
}
