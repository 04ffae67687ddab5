// Several pictures of one thing beside one another.
import { address, make } from "./hub.js";

export function beside(box) {
  const row = make("div", { class: "hs-beside" });
  box.append(row);
  let shown = "";
  return {
    show(plate) {
      const key = plate.pictures.map((p) => p.src).join(" ");
      if (key === shown) return;
      shown = key;
      row.replaceChildren(...plate.pictures.map(({ src, label }) => make("figure", {}, make("img", { src: address(src), alt: label }), make("figcaption", {}, label))));
    },
  };
}
