// Two pictures of the same size, one wiped over the other: by slider, by keys, or by two buttons.
import { address, make } from "./hub.js";

export function wipe(box) {
  const under = make("img", { class: "hs-under", alt: "" });
  const over = make("img", { class: "hs-over-picture", alt: "" });
  const line = make("span", { class: "hs-wipe-line", "aria-hidden": "true" });
  const slider = make("input", { type: "range", min: "0", max: "100", value: "50", class: "hs-wipe-slider", "aria-label": "Where the first picture ends and the second begins" });
  const pair = make("div", { class: "hs-pair" }, under, over, line, slider);
  const first = make("button", { type: "button" });
  const second = make("button", { type: "button" });
  const grounds = make("div", { class: "hs-grounds", role: "group", "aria-label": "Ground behind the cut-out" });
  for (const [name, label] of [["checker", "Checker"], ["white", "White"], ["black", "Black"]]) {
    const choice = make("button", { type: "button", "aria-pressed": name === "checker" ? "true" : "false" }, label);
    choice.addEventListener("click", () => {
      pair.dataset.ground = name;
      [...grounds.children].forEach((c) => c.setAttribute("aria-pressed", c === choice ? "true" : "false"));
    });
    grounds.append(choice);
  }
  box.append(pair, make("div", { class: "hs-wipe-bar" }, make("div", { class: "hs-switch", role: "group", "aria-label": "Before or after" }, first, second), grounds));
  const put = (value) => {
    slider.value = value;
    pair.style.setProperty("--wipe", `${value}%`);
    first.setAttribute("aria-pressed", value >= 99 ? "true" : "false");
    second.setAttribute("aria-pressed", value <= 1 ? "true" : "false");
    slider.setAttribute("aria-valuetext", `${Math.round(value)} % ${first.textContent}, then ${second.textContent}`);
  };
  slider.addEventListener("input", () => put(Number(slider.value)));
  first.addEventListener("click", () => put(100));
  second.addEventListener("click", () => put(0));
  under.addEventListener("load", () => pair.style.setProperty("--ratio", `${under.naturalWidth / under.naturalHeight}`));
  let shown = "";
  return {
    show(plate) {
      const key = `${plate.before.src} ${plate.after.src}`;
      if (key === shown) return;
      shown = key;
      over.src = address(plate.before.src); // left of the line is before, right of it after
      under.src = address(plate.after.src);
      over.alt = plate.before.label;
      under.alt = plate.after.label;
      first.textContent = plate.before.label;
      second.textContent = plate.after.label;
      grounds.hidden = !plate.grounds;
      pair.dataset.ground = plate.grounds ? pair.dataset.ground || "checker" : "none";
      put(plate.grounds ? 35 : 50);
    },
  };
}
