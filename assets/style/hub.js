// What the page knows: the last snapshot of the run, what is selected, and knobs that were changed but not yet run.
export const hub = {
  view: { state: "loading", steps: [] },
  visitor: "",
  card: null, // steps and knobs of the run's system
  selected: null, // name of a step
  following: true, // the selection follows the running step until the visitor chooses
  draft: {}, // {step: {knob: value}}
  wanted: {}, // {record kind: id of the plate last looked at}
  act: () => {},
  besides: "", // the run that a second one is being made of, to compare
  ablate: null, // {run, row}: the row of the ablation that was asked for beside a run
  upload: "", // number of the photo that was dropped
  picture: "", // address of that photo in this browser
  sending: null, // the photo on its way
  startedWith: "", // the picture that the next run is made from
  backdrop: "", // the picture that the present run was made from, where this page began it
  stepwise: false, // pause after each step
  entry: "photo", // what the chosen method begins with: a photo, or an archive of files
};
const listeners = new Set();
export const FRESH = ["done", "reused", "warning"]; // states of a step whose result fits the run

export function listen(callback) {
  listeners.add(callback);
  callback();
}

export function changed() {
  for (const callback of listeners) callback();
}

export function address(path) {
  return new URL(path, document.baseURI).href;
}

export function step(name) {
  return hub.view.steps.find((s) => s.name === name) || null;
}

export function cardOf(name) {
  return hub.card?.steps.find((s) => s.name === name) || null;
}

export function act(type, data = {}) {
  // Whoever leaves a shared run leaves its link as well.
  if (["example", "mine"].includes(type) && location.hash.startsWith("#run/")) history.replaceState(null, "", location.pathname + location.search);
  hub.act({ type, ...data });
}

export function select(name, byHand = true) {
  if (byHand) hub.following = false;
  hub.selected = name;
  changed();
}

export function followAgain() {
  hub.following = true;
  choose();
  changed();
}

// A new snapshot.
export function receive(value) {
  const before = hub.view;
  hub.view = value;
  hub.visitor = value.visitor || hub.visitor;
  if (before.run !== value.run) {
    [hub.backdrop, hub.startedWith] = [hub.startedWith, ""];
    hub.draft = {};
    hub.following = true;
    hub.selected = null;
  } else if (value.busy && !before.busy) {
    hub.draft = {};
    hub.following = true;
    say("");
  }
  document.body.dataset.hsState = value.busy ? "busy" : value.state;
  const buttons = document.getElementById("hs-go");
  if (buttons) buttons.dataset.busy = value.busy ? "yes" : "no";
  document.body.dataset.hsMine = value.mine ? "yes" : "no";
  if (value.system && hub.card?.name !== value.system) readCard(value.system);
  choose();
  changed();
}

let reading = ""; // the system whose card is on its way
async function readCard(system) {
  if (reading === system) return;
  reading = system;
  const card = await fetch(address(`systems/${system}.json`)).then((answer) => (answer.ok ? answer.json() : null), () => null);
  if (reading !== system) return; // another one is wanted meanwhile
  reading = "";
  if (card) {
    hub.card = card;
    changed();
  } else setTimeout(() => hub.view.system === system && readCard(system), 2000); // without it there are no knobs
}

function choose() {
  const steps = hub.view.steps;
  if (!steps.length) return;
  if (!hub.following && steps.some((s) => s.name === hub.selected)) return;
  const now = steps.find((s) => ["running", "failed", "missing", "cancelled", "needs-you"].includes(s.state));
  const shown = (kind) => [...steps].reverse().find((s) => s.record === kind && s.plates.length);
  // Nobody stares at a bar: the newest splats of this run stand on the stage while later steps are at work.
  const ready = hub.view.busy && !hub.view.stepwise && [...steps].reverse().find((s) => s.record === "splats" && s.plates.length && FRESH.includes(s.state));
  const queued = hub.view.busy && steps.find((s) => s.state === "queued");
  const last = [...steps].reverse().find((s) => s.plates.length);
  hub.selected = (ready || now || queued || shown("views") || shown("splats") || shown("mesh") || last || steps[0]).name;
}

// Of a step whose kind of record a later one of the run makes again: what the visitor is looking at, and whether it is
// the last. null where there is one only.
export function whichOf(now) {
  const kin = (hub.card?.name === hub.view.system && hub.card.steps.filter((s) => s.record === "splats")) || [];
  if (now?.record !== "splats" || kin.length < 2) return null;
  const last = kin[kin.length - 1];
  if (last.name === now.name) return { title: now.title, words: "the result", final: true };
  const at = hub.view.steps.find((s) => s.state === "running");
  const there = FRESH.includes(step(last.name)?.state);
  const words = at ? `better ones are on their way: ${at.title} ${at.word}` : there ? `the result is under “${last.title}”` : hub.view.busy ? "better ones are on their way" : "the run has not got further yet";
  return { title: now.title, words, final: false };
}

// The steps that would be out of date with the changed knobs.
export function stale() {
  const names = new Set();
  for (const [name, values] of Object.entries(hub.draft)) {
    if (!Object.keys(values).length) continue;
    names.add(name);
    for (const later of cardOf(name)?.after || []) names.add(later);
  }
  return names;
}

export function setKnob(name, knob, value) {
  const values = { ...hub.draft[name] };
  if (String(value) === String(present(name, knob))) delete values[knob.name];
  else values[knob.name] = value;
  hub.draft = { ...hub.draft, [name]: values };
  if (!Object.keys(values).length) delete hub.draft[name];
  hub.following = false;
  changed();
}

// The value that the last run used, in the knob's own type.
export function present(name, knob) {
  const value = hub.view.settings?.[name]?.[knob.name] ?? knob.default;
  if (knob.type === "bool") return ["true", "1", "yes", "on"].includes(String(value).toLowerCase());
  return knob.type === "str" ? String(value) : Number(value);
}

let banner = null;
export function banners(element) {
  banner = element;
}
export function say(sentence, kind = "note") {
  window.dispatchEvent(new CustomEvent("hs-said", { detail: { sentence, kind } })); // for parts from which the banner is not seen
  if (!banner) return;
  banner.hidden = !sentence;
  banner.dataset.kind = kind;
  banner.querySelector("span").textContent = sentence;
  banner.setAttribute("role", kind === "error" ? "alert" : "status");
}

export function said() {
  return banner && !banner.hidden ? banner.querySelector("span").textContent : "";
}

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((c) => c != null && c !== false));
  return element;
}

export const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function seconds(value) {
  if (value == null) return "";
  const whole = Math.round(value);
  if (whole >= 120) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return value < 10 ? `${value.toFixed(1)} s` : `${whole} s`;
}

export function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
