// What the network changed: each map as it was given, as it was corrected, and the change in colour with its scale.
import { address, make } from "./hub.js";

export function correction(box) {
  const maps = make("div", { class: "hs-switch", role: "group", "aria-label": "Which map" });
  const states = make("div", { class: "hs-switch", role: "group", "aria-label": "Before or after the network" });
  const image = make("img", { class: "hs-picture-in", alt: "" });
  const scale = make("p", { class: "hs-scale" });
  const words = make("p", { class: "hs-soft hs-correction-words", role: "status" });
  box.append(make("div", { class: "hs-correction-view" }, image), make("div", { class: "hs-wipe-bar" }, maps, states, scale), words);
  let plate = null, data = null, map = 0, state = "change";

  const source = (name) => address(plate.pictures[name].replace("{map}", data.maps[map].name));
  const press = (group, on) => [...group.children].forEach((b) => b.setAttribute("aria-pressed", b.dataset.value === on ? "true" : "false"));

  function draw() {
    const now = data.maps[map];
    if (state === "doubt" && !now.doubt) state = "change";
    for (const b of states.children) b.hidden = b.dataset.value === "doubt" && !now.doubt;
    const label = plate.states.find(([name]) => name === state)[1].toLowerCase();
    image.src = source(state);
    image.alt = state === "change" ? `Change of the ${now.label.toLowerCase()}` : `${now.label}, ${label}`;
    box.dataset.shown = `${state}-${now.name}`;
    press(maps, now.name);
    press(states, state);
    words.textContent = state === "doubt" ? `${now.label}: the network expects to be wrong by ${now.doubt_words}; where it is violet, look twice.` : `${now.label}: ${now.words}.`;
    const bar = (kind, from, to, middle) => scale.replaceChildren(make("span", {}, from), make("span", { class: "hs-ramp", "data-ramp": kind, "aria-hidden": "true" }), middle ? make("span", { class: "hs-soft" }, middle) : "", make("span", {}, to));
    if (state === "change" && now.unit === "mm") bar("signed", `${now.limit} mm nearer`, `${now.limit} mm farther`);
    else if (state === "change") bar("amount", "0", `${now.limit} % of the range`);
    else if (state === "doubt") bar("amount", "0", `${now.doubt} mm`);
    else if (now.near) bar("depth", now.near, now.far);
    else scale.replaceChildren();
  }

  // The other states of a map are read ahead, so that switching shows the difference and no gap.
  function ahead() {
    for (const [name] of plate.states) if (name !== "doubt" || data.maps[map].doubt) new Image().src = source(name);
  }

  const button = (label, value, act) => make("button", { type: "button", "data-value": value, onclick: act }, label);
  return {
    async show(next) {
      if (plate && plate.data === next.data) return;
      plate = next;
      data = null;
      image.removeAttribute("src");
      words.textContent = "Comparing the layers…";
      const answer = await fetch(address(next.data)).catch(() => null);
      if (plate !== next) return;
      const found = await answer?.json().catch(() => null);
      if (plate !== next) return;
      if (!answer?.ok || !found) {
        plate = null;
        words.textContent = found?.detail || "The layers could not be compared; choose the step again.";
        return;
      }
      data = found;
      maps.replaceChildren(...data.maps.map((m, k) => button(m.label, m.name, () => ((map = k), draw(), ahead()))));
      states.replaceChildren(...next.states.map(([name, label]) => button(label, name, () => ((state = name), draw()))));
      map = Math.min(map, data.maps.length - 1);
      draw();
      ahead();
    },
  };
}
