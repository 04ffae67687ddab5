// Keypoints over the photo, to be dragged; and the people that were found.
import { act, address, cardOf, make, setKnob } from "./hub.js";

const NS = "http://www.w3.org/2000/svg";
const svg = (tag, attributes = {}) => {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

export function points(box) {
  const drawing = svg("svg", { class: "hs-points hs-unnumbered", role: "group", "aria-label": "Keypoints over the photo" });
  const apply = make("button", { type: "button", class: "hs-strong", disabled: true }, "Apply and go on");
  const undo = make("button", { type: "button", class: "hs-plain", disabled: true }, "Undo moves");
  const back = make("button", { type: "button", class: "hs-plain", hidden: true }, "Use the network's keypoints");
  const numbers = make("button", { type: "button", class: "hs-plain", "aria-pressed": "false" }, "Numbers");
  const told = make("span", { class: "hs-soft", "aria-live": "polite" }, "Drag a point, or move it with the arrow keys.");
  box.append(drawing, make("div", { class: "hs-wipe-bar" }, apply, undo, back, numbers, told));
  let data = null, moved = {}, shown = "", owner = "";

  numbers.addEventListener("click", () => {
    const on = numbers.getAttribute("aria-pressed") !== "true";
    numbers.setAttribute("aria-pressed", on ? "true" : "false");
    drawing.classList.toggle("hs-unnumbered", !on);
  });
  undo.addEventListener("click", () => {
    moved = {};
    draw();
  });
  apply.addEventListener("click", () => {
    apply.disabled = true;
    act("keypoints", { step: owner, moved });
  });
  back.addEventListener("click", () => act("take_back", { step: owner }));

  const place = (i) => moved[i] || data.points[i];
  function draw() {
    const { width, height } = data;
    const unit = Math.max(width, height) / 100;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const image = svg("image", { href: address(data.photo), width, height });
    const lines = data.edges.map(([a, b]) => {
      const [p, q] = [place(a), place(b)];
      return svg("line", { x1: p[0], y1: p[1], x2: q[0], y2: q[1], "stroke-width": unit * 0.3, class: "hs-bone" });
    });
    const extra = data.extra.map(([x, y]) => svg("circle", { cx: x, cy: y, r: unit * 0.28, class: "hs-extra" }));
    const dots = data.points.map((_, i) => dot(i, unit));
    drawing.replaceChildren(image, ...lines, ...extra, ...dots);
    const count = Object.keys(moved).length;
    apply.disabled = undo.disabled = !count;
    told.textContent = count ? `${count} moved` : "Drag a point, or move it with the arrow keys.";
  }

  function dot(i, unit) {
    const [x, y] = place(i);
    const dim = data.points[i][2] < 0.5 && !moved[i];
    const state = moved[i] ? "moved" : data.edited[i] ? "edited" : dim ? "dim" : "sure";
    const group = svg("g", { class: "hs-dot", tabindex: "0", role: "button", "data-state": state, "data-index": i, transform: `translate(${x} ${y})`, "aria-label": `${data.names[i]}, ${Math.round(x)} ${Math.round(y)}` });
    const title = svg("title");
    title.textContent = `${i} ${data.names[i]}`;
    const text = svg("text", { x: unit * 1.1, y: -unit * 0.8, "font-size": unit * 2 });
    text.textContent = i;
    group.append(title, svg("circle", { r: unit * 2.4, class: "hs-grip" }), svg("circle", { r: unit * 0.75, class: "hs-core" }), text);
    group.addEventListener("pointerdown", (event) => drag(event, i));
    group.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      const reach = (event.shiftKey ? 10 : 1) * Math.max(1, unit / 4);
      const [px, py] = place(i);
      put(i, px + by[0] * reach, py + by[1] * reach);
      drawing.querySelector(`[data-index="${i}"]`).focus();
    });
    return group;
  }

  function put(i, x, y) {
    moved = { ...moved, [i]: [Math.min(Math.max(x, 0), data.width), Math.min(Math.max(y, 0), data.height)] };
    draw();
  }

  function drag(event, i) {
    event.preventDefault();
    const follow = (e) => {
      const at = new DOMPoint(e.clientX, e.clientY).matrixTransform(drawing.getScreenCTM().inverse());
      put(i, at.x, at.y);
    };
    const end = () => {
      window.removeEventListener("pointermove", follow);
      window.removeEventListener("pointerup", end);
    };
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", end);
  }

  return {
    async show(plate, now) {
      owner = now.name;
      back.hidden = !now.replaced;
      if (shown === plate.data) return;
      shown = plate.data;
      const answer = await fetch(address(plate.data));
      if (!answer.ok || shown !== plate.data) return;
      data = { ...(await answer.json()), photo: plate.photo };
      moved = {};
      draw();
    },
  };
}

export function people(box) {
  const drawing = svg("svg", { class: "hs-points", role: "group", "aria-label": "People in the photo" });
  box.append(drawing);
  let shown = "";
  return {
    async show(plate, now) {
      if (shown === plate.data) return;
      shown = plate.data;
      const answer = await fetch(address(plate.data));
      if (!answer.ok || shown !== plate.data) return;
      const data = await answer.json();
      drawing.setAttribute("viewBox", `0 0 ${data.width} ${data.height}`);
      const unit = Math.max(data.width, data.height) / 100;
      const knob = cardOf(now.name)?.knobs.find((k) => k.type === "int" && ["person", "which", "choose", "index"].includes(k.name));
      drawing.replaceChildren(svg("image", { href: address(plate.photo), width: data.width, height: data.height }));
      data.boxes.forEach(([left, top, right, bottom], i) => {
        const chosen = i === data.chosen;
        const frame = svg("g", { class: "hs-person", "data-chosen": chosen, "aria-label": `Person ${i + 1}${chosen ? ", chosen" : ""}` });
        const text = svg("text", { x: left + unit, y: top + unit * 4, "font-size": unit * 3.4 });
        text.textContent = i + 1;
        frame.append(svg("rect", { x: left, y: top, width: right - left, height: bottom - top, "stroke-width": unit * 0.5, rx: unit }), text);
        if (knob && data.boxes.length > 1) {
          frame.setAttribute("role", "button");
          frame.setAttribute("tabindex", "0");
          const value = i + (knob.low >= 1 ? 1 : 0);
          frame.addEventListener("click", () => setKnob(now.name, knob, value));
          frame.addEventListener("keydown", (e) => e.key === "Enter" && setKnob(now.name, knob, value));
        }
        drawing.append(frame);
      });
    },
  };
}
