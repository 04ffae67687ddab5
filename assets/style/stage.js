// The stage: one thing of the selected step at a time, on plates that are made once and never mounted anew.
import { address, changed, hub, listen, make, step, whichOf } from "./hub.js";
import { beside } from "./beside.js";
import { correction } from "./correction.js";
import { exchange } from "./exchange.js";
import { curve, fit } from "./fit.js";
import { grid } from "./grid.js";
import { histograms } from "./histograms.js";
import { paint } from "./paint.js";
import { pairs } from "./pairs.js";
import { people, points } from "./points.js";
import { joints, refine } from "./refine.js";
import { solid } from "./solid.js";
import { strip } from "./strip.js";
import { wipe } from "./wipe.js";

export const RESUME = "What was finished is kept; press Resume to go on.";
const KINDS = { picture, wipe, solid, points, people, paint, fit, curve, grid, correction, refine, joints, pairs, strip, exchange, beside, histograms };

export function stage(element, { props }) {
  const tabs = make("div", { class: "hs-tabs", role: "tablist", "aria-label": "Views of this step" });
  const tools = make("div", { class: "hs-tools" });
  const body = make("div", { class: "hs-stage-body", id: "hs-stage-body", role: "tabpanel" });
  const veil = make("div", { class: "hs-veil", hidden: true });
  const full = make("button", { type: "button", class: "hs-tool", "aria-label": "Full screen", title: "Full screen" });
  full.innerHTML = '<svg viewBox="0 0 16 16" width="15" height="15" aria-hidden="true"><path d="M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4" fill="none" stroke="currentColor" stroke-width="1.500"/></svg>';
  const frame = make("section", { class: "hs-stage-frame", "aria-label": "Result" }, make("div", { class: "hs-stage-bar" }, tabs, tools, full), body);
  full.addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : frame.requestFullscreen()));
  const caption = make("p", { class: "hs-caption" });
  element.append(frame, caption);
  const plates = {};
  for (const [kind, build] of Object.entries(KINDS)) {
    const box = make("div", { class: `hs-plate hs-plate-${kind}`, hidden: true });
    plates[kind] = { box, ...build(box, tools, props) };
    body.append(box);
  }
  const live = make("img", { class: "hs-live", hidden: true, alt: "Preview of the running step" });
  const empty = make("div", { class: "hs-empty", hidden: true });
  const which = make("p", { class: "hs-which", hidden: true });
  const making = make("p", { class: "hs-note hs-making", hidden: true, role: "status" }, "Making the picture…");
  body.append(live, empty, veil, which, making);
  tabs.addEventListener("keydown", (event) => {
    const all = [...tabs.children];
    const to = all.indexOf(document.activeElement) + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] || 0);
    if (!all[to] || !["ArrowRight", "ArrowLeft"].includes(event.key)) return;
    all[to].click();
    tabs.children[to]?.focus();
  });
  // After an interruption: what did not arrive is asked for again.
  window.addEventListener("hs-regained", () => {
    for (const image of body.querySelectorAll("img[src]")) {
      const src = image.src;
      if (image.complete && !image.naturalWidth) [image.src, image.src] = ["", src];
    }
    changed();
  });
  // A picture that takes a while says so; solids have words of their own.
  const wait = () => {
    const late = [...body.querySelectorAll(".hs-plate:not(.hs-plate-solid) img[src], .hs-live")].some((i) => i.offsetParent && !i.complete);
    if (making.hidden === late) making.hidden = !late;
  };
  for (const kind of ["load", "error"]) body.addEventListener(kind, wait, true);
  let waiting = 0;
  listen(() => {
    draw({ tabs, tools, body, plates, live, empty, veil, which, caption });
    if (!making.hidden) wait();
    clearTimeout(waiting);
    waiting = setTimeout(wait, 800);
  });
}

function draw({ tabs, tools, plates, live, empty, veil, which, caption }) {
  const now = step(hub.selected);
  const working = now && (now.state === "running" || (now.state === "queued" && hub.view.busy));
  const preview = working && (now.preview || (!now.plates.length && backdrop()));
  const found = now?.plates || [];
  const stalePlate = now && ["stale", "running", "queued", "failed", "cancelled", "missing"].includes(now.state);
  live.hidden = !preview;
  if (preview && live.dataset.src !== preview) {
    live.dataset.src = preview;
    live.src = address(preview);
  }
  const dim = Boolean(preview) && preview !== now.preview;
  live.classList.toggle("hs-dim", dim);
  const shown = preview ? null : found.find((p) => p.id === hub.wanted[now.record]) || found[0] || null;
  for (const [kind, plate] of Object.entries(plates)) {
    const on = shown?.type === kind;
    if (plate.box.hidden === on) plate.box.hidden = !on;
    if (on) plate.show(shown, now);
    else plate.hide?.();
  }
  tools.hidden = shown?.type !== "solid";
  drawTabs(tabs, preview ? [] : found, shown, now);
  empty.hidden = Boolean(preview || shown);
  if (!empty.hidden) drawEmpty(empty, now);
  veil.hidden = !((shown && shown.type !== "exchange" && stalePlate) || dim); // what is to be put in is never old
  veil.textContent = dim ? "At work…" : now?.state === "running" ? "Being made anew…" : "From before the change";
  drawWhich(which, shown && veil.hidden ? whichOf(now) : null);
  caption.textContent = captionOf(shown, now);
}

// Which of a run's splats these are: the first quick ones, or the result.
function drawWhich(which, found) {
  which.hidden = !found;
  if (!found || which.dataset.key === found.title + found.words) return;
  which.dataset.key = found.title + found.words;
  which.dataset.final = found.final ? "yes" : "no";
  which.replaceChildren(make("b", {}, found.title), ` ${found.words}`);
}

function drawTabs(tabs, found, shown, now) {
  const key = found.map((p) => p.id).join(" ") + now?.name;
  if (tabs.dataset.key !== key) {
    tabs.dataset.key = key;
    tabs.replaceChildren(
      ...found.map((plate) => {
        const tab = make("button", { type: "button", role: "tab", "aria-controls": "hs-stage-body" }, plate.label);
        tab.dataset.plate = plate.id;
        tab.addEventListener("click", () => {
          hub.wanted[now.record] = plate.id;
          hub.following = hub.following && !hub.view.busy;
          changed();
        });
        return tab;
      }),
    );
  }
  [...tabs.children].forEach((tab) => {
    const on = tab.dataset.plate === shown?.id;
    tab.setAttribute("aria-selected", on ? "true" : "false");
    tab.tabIndex = on ? 0 : -1;
  });
}

function drawEmpty(empty, now) {
  const view = hub.view;
  let title = "Choose a photo", words = "A photo of one person, head to feet, gives the best result.";
  if (hub.entry === "archive") [title, words] = ["Choose a ZIP of views", "Pictures of one person from several sides, with normal maps where there are some."];
  if (view.state === "loading") [title, words] = ["", ""];
  else if (now?.state === "running") [title, words] = [now.title, "At work…"];
  else if (now && ["failed", "missing", "cancelled"].includes(now.state)) {
    title = { failed: `The run ended at ${now.title}`, missing: `${now.title} needs something`, cancelled: "Stopped" }[now.state];
    words = now.state === "cancelled" ? RESUME : now.message || view.message;
  } else if (now?.state === "queued") [title, words] = [now.title, now.word];
  else if (now) [title, words] = [now.title, now.plates.length ? "" : now.state === "waiting" ? "This step has not run yet." : "This step's result has nothing to look at."];
  if (empty.dataset.key === title + words) return;
  empty.dataset.key = title + words;
  empty.replaceChildren(make("h3", {}, title), make("p", {}, words));
}

// What stands on the stage while a step is at work that has nothing to show yet: the person, as far as cut out.
function backdrop() {
  const plate = (kind) => hub.view.steps.find((s) => s.record === kind && s.plates.length)?.plates[0];
  return plate("cutout")?.after.src || hub.backdrop || plate("photo")?.src || null;
}

function captionOf(shown, now) {
  if (!now) return "";
  // Everything that a made-up network drew says so, whatever is shown of it.
  const drawn = now.kind !== "measured" || /^synchuman_(?!frame)/.test(now.record || "");
  if (hub.view.stand_in && drawn && shown) return "Stand-in: networks of made-up numbers drew this; it is noise, not the person.";
  const back = shown?.type === "solid" && ["splats", "mesh", "views"].includes(now.record);
  if (back && now.kind !== "measured" && hub.card?.entry !== "archive") return "The back and all hidden surface are generated, not in the photo.";
  return now.kind === "generated" && shown ? "Generated, not in the photo." : "";
}

function picture(box) {
  const image = make("img", { class: "hs-picture", alt: "" });
  box.append(image);
  return {
    show(plate) {
      const src = address(plate.src);
      if (image.src !== src) image.src = src;
      image.alt = plate.alt || plate.label;
    },
  };
}

