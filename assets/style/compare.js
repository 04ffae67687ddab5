// Two runs side by side under one turn: the frames of both at the same angle, and the numbers that differ.
import { changesTo, rowOf, sameButFor, switches } from "./ablation.js";
import { act, address, hub, listen, make, seconds } from "./hub.js";
import { drawFrame } from "./solid.js";

const AT = "#compare";
const AGAIN = 2000; // ms before something that did not come is asked for again
const MODES = [["beside", "Side by side"], ["wipe", "One over the other"], ["difference", "Difference"]];

export function compare(element, { props }) {
  const sides = [0, 1].map((k) => side(k));
  const turn = make("input", { type: "range", min: "0", max: "359", value: "0", "aria-label": "Turn both, in degrees" });
  const wipe = make("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "How much of B covers A" });
  const spin = make("button", { type: "button", class: "hs-plain", "aria-pressed": "false" }, "Spin");
  const modes = make("div", { class: "hs-switch", role: "group", "aria-label": "How they are shown" });
  const pair = make("div", { class: "hs-compare-pair" }, ...sides.map((s) => s.figure));
  const words = make("p", { class: "hs-compare-words", role: "status" });
  const table = make("table", { class: "hs-eval-table" });
  const beside = make("div", { class: "hs-row", hidden: true });
  const parts = make("div", { class: "hs-row hs-compare-parts", hidden: true, role: "group", "aria-label": "Parts left out in B" });
  element.append(
    make("div", { class: "hs-eval-head" }, make("h2", { tabindex: "-1" }, "Compare"), make("p", { class: "hs-soft" }, "Two runs under one turn."),
      make("a", { class: "hs-plain", href: "#" }, "Back to the person")),
    words,
    make("section", { class: "hs-box", "aria-label": "Both runs" }, pair, make("div", { class: "hs-wipe-bar" }, modes, spin, turn, wipe), parts, beside),
    make("section", { class: "hs-box hs-eval-scroll", "aria-label": "Numbers of both", tabindex: "0" }, table));
  let runs = [], reads = 0, mode = "beside", request = 0, last = 0, known = "";

  function side(k) {
    const choose = make("select", { "aria-label": `Run ${"AB"[k]}` });
    const canvas = make("canvas", { class: "hs-compare-canvas", role: "img" });
    const sheet = new Image();
    const self = { choose, canvas, sheet, ready: false, run: null, figure: make("figure", {}, make("figcaption", {}, make("b", {}, "AB"[k]), choose), canvas) };
    sheet.onload = () => ((self.ready = true), paint());
    sheet.onerror = () => ((self.ready = false), tell(`The frames of ${"AB"[k]} could not be made.`));
    choose.addEventListener("change", () => put(self, Number(choose.value)));
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX, at: Number(turn.value) };
      canvas.setPointerCapture(event.pointerId);
      rotate(false);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      turn.value = (((from.at - (event.clientX - from.x) * 0.6) % 360) + 360) % 360;
      paint();
    });
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => (from = null));
    return self;
  }

  const tell = (sentence) => (words.textContent = sentence);
  function put(one, index) {
    one.run = runs[index] || null;
    one.choose.value = String(index);
    one.ready = false;
    const src = one.run?.frames ? address(one.run.frames) : "";
    one.canvas.setAttribute("aria-label", one.run ? titleOf(one.run) : "No run");
    if (src && one.sheet.src === src) one.ready = true;
    else if (src) one.sheet.src = src;
    paint();
    numbers();
    drawParts();
  }

  async function read() {
    const own = ++reads;
    if (!runs.length) tell("Reading the runs…");
    const found = await fetch(address(`runs/${hub.visitor}`)).then((answer) => (answer.ok ? answer.json() : null)).catch(() => null);
    if (found) await Promise.all([...new Set(found.map((run) => run.system))].map(cardFor));
    if (own !== reads) return; // asked for again meanwhile: an older list must not come last
    if (!found) {
      setTimeout(() => own === reads && open() && read(), AGAIN);
      return tell("The runs could not be read; trying again.");
    }
    const before = sides.map((s) => s.run?.run);
    runs = found;
    const shown = runs.map((run, i) => make("option", { value: i }, titleOf(run)));
    sides.forEach((s) => s.choose.replaceChildren(...shown.map((o) => o.cloneNode(true))));
    const place = (name) => runs.findIndex((run) => run.run === name);
    // A run made to be compared stands on the right, the one that it was made from on the left.
    if (hub.besides && runs[0]?.run !== hub.besides && place(hub.besides) > 0) {
      before.splice(0, 2, hub.besides, runs[0].run);
      hub.besides = "";
    }
    const wanted = [Math.min(1, runs.length - 1), 0]; // B is the newest, A the one before
    sides.forEach((s, k) => put(s, place(before[k]) >= 0 ? place(before[k]) : wanted[k]));
    const enough = runs.filter((run) => run.frames).length > 1;
    tell(enough ? "" : "Two finished runs are needed. Change a knob and press “Run beside, to compare”, or make a run of your own.");
    drawBeside();
    const asked = hub.ablate;
    hub.ablate = null;
    if (asked && place(asked.run) >= 0) {
      put(sides[0], place(asked.run));
      leaveOut(asked.row);
    }
  }

  // B with one part left out of what A is: the run of these settings if there is one, else a new one beside A.
  function leaveOut(row) {
    const base = sides[0].run, card = cards.get(base.system);
    const kin = runs.filter((run) => sameButFor(card, run, base));
    const whole = kin.find((run) => rowOf(card, run.settings) === Object.keys(card.ablation)[0]);
    const there = kin.find((run) => rowOf(card, run.settings) === row && run !== base);
    if (whole && whole !== there) put(sides[0], runs.indexOf(whole));
    if (there) return put(sides[1], runs.indexOf(there));
    const from = whole && whole !== there ? whole : base;
    if (rowOf(card, from.settings) === row) return put(sides[1], runs.indexOf(from));
    hub.besides = from.run;
    for (const button of parts.querySelectorAll("button")) button.disabled = true; // until the new run is there
    tell(`Making the run “${row}” beside it…`);
    act("beside", { run: from.run, settings: changesTo(card, from.settings, row) });
  }
  function drawParts() {
    const [a, b] = sides.map((s) => s.run), card = a && cards.get(a.system);
    parts.hidden = !card || Object.keys(card.ablation || {}).length < 2;
    if (parts.hidden) return;
    const pressed = b && sameButFor(card, a, b) ? rowOf(card, b.settings) : null;
    parts.replaceChildren(make("span", { class: "hs-soft" }, "B is A"), ...switches(card, pressed, leaveOut, Boolean(hub.view.busy)));
  }

  // The same photo under another method, kept beside the run that is there.
  async function drawBeside() {
    const mine = runs.find((run) => run.mine);
    beside.hidden = true;
    if (!mine || hub.view.busy) return;
    const begins = (await Promise.all((props.systems || []).map(cardFor))).map((card) => card.entry);
    const entry = begins[props.systems.indexOf(mine.system)];
    const others = props.systems.filter((name, i) => name !== mine.system && entry && begins[i] === entry);
    beside.hidden = !others.length;
    const begin = (system) => {
      hub.besides = mine.run;
      act("beside", { run: mine.run, system, settings: {} });
    };
    beside.replaceChildren(make("span", { class: "hs-soft" }, `${mine.photo} with another method:`),
      ...others.map((name) => make("button", { type: "button", class: "hs-plain", onclick: () => begin(name) }, name)));
  }

  function paint() {
    const [a, b] = sides;
    const angle = Number(turn.value);
    turn.setAttribute("aria-valuetext", `${Math.round(angle)} degrees`);
    b.figure.classList.toggle("hs-compare-second", mode !== "beside");
    b.canvas.hidden = mode !== "beside";
    wipe.hidden = mode !== "wipe";
    for (const one of mode === "beside" ? sides : [a]) {
      const paper = clear(one.canvas);
      if (one.ready) drawFrame(paper, one.sheet, angle);
      one.canvas.dataset.ready = one.ready ? "yes" : "no";
      one.canvas.dataset.angle = Math.round(angle);
    }
    if (mode === "beside" || !b.ready) return;
    const paper = a.canvas.getContext("2d");
    if (mode === "difference") return difference(paper, angle);
    paper.save();
    const from = a.canvas.width * (1 - wipe.value / 100);
    paper.beginPath();
    paper.rect(from, 0, a.canvas.width, a.canvas.height);
    paper.clip();
    paper.clearRect(from, 0, a.canvas.width, a.canvas.height);
    drawFrame(paper, b.sheet, angle);
    paper.restore();
    paper.fillStyle = getComputedStyle(a.canvas).color;
    paper.fillRect(Math.round(from) - 1, 0, 2, a.canvas.height);
  }
  // Both on black, so that only what differs is light.
  function difference(paper, angle) {
    const other = make("canvas", { width: paper.canvas.width, height: paper.canvas.height });
    for (const [on, sheet] of [[paper, sides[0].sheet], [other.getContext("2d"), sides[1].sheet]]) {
      on.fillStyle = "#000";
      on.fillRect(0, 0, other.width, other.height);
      if (sheet.naturalWidth) drawFrame(on, sheet, angle);
    }
    paper.globalCompositeOperation = "difference";
    paper.drawImage(other, 0, 0);
    paper.globalCompositeOperation = "source-over";
  }
  function clear(canvas) {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [wide, high] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const paper = canvas.getContext("2d");
    paper.clearRect(0, 0, wide, high);
    return paper;
  }

  async function numbers() {
    const key = sides.map((s) => `${s.run?.run} ${JSON.stringify(s.run?.facts)} ${s.run?.state}`).join();
    if (key === known) return;
    known = key;
    if (!table.children.length) table.replaceChildren(make("caption", {}, "Reading the numbers…"));
    const columns = await Promise.all(sides.map((s) => (s.run ? rowsOf(s.run) : new Map())));
    if (key !== known) return;
    if (columns.some((c) => c.missing)) setTimeout(() => key === known && open() && ((known = ""), numbers()), AGAIN);
    const names = [...new Set(columns.flatMap((c) => [...c.keys()]))];
    const cell = (value) => make("td", {}, value ?? "–");
    table.replaceChildren(make("thead", {}, make("tr", {}, make("th", { scope: "col" }, ""), make("th", { scope: "col" }, "A"), make("th", { scope: "col" }, "B"))),
      make("tbody", {}, ...names.map((name) => make("tr", { "data-differs": columns[0].get(name) !== columns[1].get(name) ? "yes" : null },
        make("th", { scope: "row" }, name), cell(columns[0].get(name)), cell(columns[1].get(name))))));
  }
  async function rowsOf(run) {
    const rows = new Map([["Method", run.system], ["Photo", run.photo], ["Seed", String(run.seed)]]);
    for (const [step, values] of Object.entries(run.settings || {})) for (const [knob, value] of Object.entries(values)) rows.set(`${step}: ${knob}`, String(value));
    if (run.by_hand.length) rows.set("Edited by hand", run.by_hand.join(", "));
    for (const [kind, where] of run.facts) {
      const answer = await fetch(address(where)).catch(() => null);
      if (answer?.ok) for (const [name, value] of await answer.json()) rows.set(`${kind}: ${name}`, String(value));
      else if (!answer || answer.status >= 500) rows.missing = true; // what is refused stays refused
    }
    rows.set("Work in all", seconds(run.seconds.reduce((sum, [, s]) => sum + s, 0)));
    return rows;
  }

  modes.append(...MODES.map(([name, label]) => make("button", { type: "button", "aria-pressed": name === mode ? "true" : "false", "data-mode": name, onclick: () => {
    mode = name;
    [...modes.children].forEach((b) => b.setAttribute("aria-pressed", b.dataset.mode === mode ? "true" : "false"));
    paint();
  } }, label)));
  turn.addEventListener("input", () => (rotate(false), paint()));
  wipe.addEventListener("input", paint);
  spin.addEventListener("click", () => rotate(!request));
  function rotate(on) {
    cancelAnimationFrame(request);
    request = on ? requestAnimationFrame(tick) : 0;
    last = 0;
    spin.setAttribute("aria-pressed", on ? "true" : "false");
  }
  function tick(time) {
    if (last) turn.value = (Number(turn.value) + ((time - last) / 12000) * 360) % 360;
    last = last && time - last < 33 ? last : time; // the slider has whole degrees
    paint();
    request = requestAnimationFrame(tick);
  }
  new ResizeObserver(() => paint()).observe(pair);
  let state = "";
  const open = () => location.hash === AT && hub.visitor;
  listen(() => {
    const now = `${hub.view.run} ${hub.view.state}`;
    if (open() && now !== state) {
      state = now;
      read();
    }
  });
  window.addEventListener("hs-said", ({ detail }) => {
    if (!open() || detail.kind === "note") return;
    tell(detail.sentence);
    drawParts(); // what was asked for and refused can be asked for again
  });
  window.addEventListener("hs-regained", () => open() && read());
  window.addEventListener("hashchange", () => {
    rotate(false);
    if (open()) read();
    if (location.hash === AT) element.querySelector("h2").focus();
  });
}

const asked = new Map(), cards = new Map(); // systems' cards: asked for, and there
function cardFor(system) {
  if (!asked.has(system)) asked.set(system, fetch(address(`systems/${system}.json`)).then((a) => (a.ok ? a.json() : {}), () => ({})).then((card) => (cards.set(system, card), card)));
  return asked.get(system);
}

function titleOf(run) {
  const card = cards.get(run.system), row = card?.ablation && rowOf(card, run.settings);
  const left = row && row !== Object.keys(card.ablation)[0];
  // What a row's name says already is not said again.
  const told = (step, knob) => left && card.ablation[row][step]?.[knob] !== undefined;
  const changed = Object.entries(run.settings || {}).flatMap(([step, values]) => Object.entries(values).filter(([k]) => !told(step, k)).map(([k, v]) => `${k.replace(/_/g, " ")} ${v}`));
  if (left) changed.unshift(row);
  const hand = run.by_hand.length ? ["edited by hand"] : [];
  const own = run.mine ? run.photo : `prepared: ${run.run.replace(/[_-]/g, " ")}`;
  return [own, run.system, ...changed, ...hand, run.busy ? "at work" : run.frames ? "" : "no frames yet"].filter(Boolean).join(", ");
}
