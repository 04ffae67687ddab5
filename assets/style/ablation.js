// The rows of a system's ablation as switches: each is a run of the same photo with one part left out. What a row has in
// common with the whole system is used again, so that a click costs only the steps from the first changed one on.
import { hub, listen, make } from "./hub.js";

const plain = (knob, value) => (knob.type === "bool" ? ["true", "1", "yes", "on"].includes(String(value).toLowerCase()) : knob.type === "str" ? String(value) : Number(value));

// Every knob that any row turns: [step, knob].
function turned(card) {
  const found = new Map();
  for (const row of Object.values(card?.ablation || {})) {
    for (const [step, values] of Object.entries(row)) {
      const knobs = card.steps.find((s) => s.name === step)?.knobs || [];
      for (const name of Object.keys(values)) found.set(`${step} ${name}`, [step, knobs.find((k) => k.name === name)]);
    }
  }
  return [...found.values()];
}

const valueIn = (settings, step, knob) => plain(knob, settings?.[step]?.[knob.name] ?? knob.default);

// The row that a run's settings are, or null.
export function rowOf(card, settings) {
  const knobs = turned(card);
  const rows = Object.entries(card?.ablation || {});
  return rows.find(([, row]) => knobs.every(([step, knob]) => valueIn(settings, step, knob) === valueIn(row, step, knob)))?.[0] ?? null;
}

// What has to be changed in a run's settings to get a row: {step: {knob: value}}.
export function changesTo(card, settings, row) {
  const changes = {};
  for (const [step, knob] of turned(card)) {
    const wanted = valueIn(card.ablation[row], step, knob);
    if (valueIn(settings, step, knob) !== wanted) (changes[step] ??= {})[knob.name] = wanted;
  }
  return changes;
}

// Whether two runs differ in nothing but the rows' knobs.
export function sameButFor(card, a, b) {
  const names = new Set(turned(card).map(([step, knob]) => `${step} ${knob.name}`));
  const rest = (run) => Object.entries(run.settings || {}).flatMap(([step, values]) => Object.entries(values).map(([k, v]) => [`${step} ${k}`, String(v)])).filter(([name]) => !names.has(name)).sort().join(";");
  const of = (run) => [run.system, run.upload, run.seed, run.by_hand.join(), rest(run)].join("|");
  return of(a) === of(b);
}

export function switches(card, pressed, choose, disabled = false) {
  return Object.keys(card.ablation).map((row) => make("button", { type: "button", class: "hs-plain", "aria-pressed": row === pressed ? "true" : "false", "data-row": row, disabled, onclick: () => choose(row) }, row));
}

// Under the inspector: the switches of the run that is shown. A click leads to both, side by side.
export function leaveOut(element) {
  const buttons = make("div", { class: "hs-row", role: "group", "aria-label": "Parts to leave out" });
  const box = make("section", { class: "hs-box hs-ablation", hidden: true, "aria-label": "Leave a part out" }, make("h2", { class: "hs-heading" }, "Leave a part out"), buttons,
    make("p", { class: "hs-help" }, "The same photo once more without that part, beside this run. Steps before it are used again."));
  element.append(box);
  let drawn = "";
  listen(() => {
    const view = hub.view, card = hub.card?.name === view.system ? hub.card : null;
    box.hidden = !card || Object.keys(card.ablation || {}).length < 2 || view.guest || view.state === "empty";
    if (box.hidden) return;
    const row = rowOf(card, view.settings), key = `${view.run} ${row} ${view.busy}`;
    if (key === drawn) return;
    drawn = key;
    const choose = (name) => {
      if (name === row) return;
      hub.ablate = { run: view.run, row: name };
      location.hash = "#compare";
    };
    buttons.replaceChildren(...switches(card, row, choose, Boolean(view.busy)));
  });
}
