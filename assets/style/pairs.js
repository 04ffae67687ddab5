// How well every two views agree: outlines above the diagonal, normals below it.
import { address, make } from "./hub.js";

export function pairs(box) {
  const table = make("table", { class: "hs-pairs" });
  const words = make("p", { class: "hs-soft hs-pairs-words", role: "status" });
  box.append(make("div", { class: "hs-pairs-scroll", tabindex: "0", role: "region", "aria-label": "Agreement of every two views" }, table), words);
  let shown = "";

  function draw(data) {
    const found = new Map(data.pairs.map((p) => [`${p.a} ${p.b}`, p]));
    const badge = (kind, text, title) => make("td", {}, make("span", { class: "hs-pair-badge", "data-is": kind, title }, text));
    const cell = (i, k) => {
      if (i === k) return make("td", { class: "hs-pairs-self" });
      const pair = found.get(`${Math.min(i, k)} ${Math.max(i, k)}`), names = `${data.views[i]} and ${data.views[k]}`;
      if (k > i) return badge(pair.outline_is, `${(100 * pair.outline).toFixed(1)} %`, `Outlines of ${names}: ${pair.outline_is}`);
      if (pair.normals == null) return badge("none", "–", `${names} see too little of the same places, or lack normals`);
      return badge(pair.normals_is, `${pair.normals.toFixed(0)}°`, `Normals of ${names}: ${pair.normals_is}`);
    };
    table.replaceChildren(
      make("caption", {}, "Above the diagonal: the share of both outlines that one body could have. Below: how far the normals differ where both views see the same place; – where they see none, as from opposite sides."),
      make("thead", {}, make("tr", {}, make("td"), ...data.views.map((v) => make("th", { scope: "col" }, v)))),
      make("tbody", {}, ...data.views.map((v, i) => make("tr", {}, make("th", { scope: "row" }, v), ...data.views.map((_, k) => cell(i, k))))));
    const worst = data.pairs.reduce((a, b) => (b.outline < a.outline ? b : a));
    const angles = data.pairs.filter((p) => p.normals != null);
    const turned = angles.length ? angles.reduce((a, b) => (b.normals > a.normals ? b : a)) : null;
    words.textContent = `Least in outline: ${data.views[worst.a]} and ${data.views[worst.b]}, ${(100 * worst.outline).toFixed(1)} %.`
      + (turned ? ` In normals: ${data.views[turned.a]} and ${data.views[turned.b]}, ${turned.normals.toFixed(0)}° apart.` : "")
      + (data.left_out ? ` ${data.left_out} more views are not in this table.` : "");
  }
  return {
    async show(plate) {
      if (shown === plate.data) return;
      shown = plate.data;
      table.replaceChildren();
      words.textContent = "Comparing every two views…";
      const answer = await fetch(address(plate.data)).catch(() => null);
      const data = await answer?.json().catch(() => null);
      if (shown !== plate.data) return;
      if (answer?.ok && data) return draw(data);
      shown = "";
      words.textContent = data?.detail || "The views could not be compared; choose the step again.";
    },
  };
}
