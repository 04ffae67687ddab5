// The inspector: what the selected step did, its numbers, its knobs, and what can be done from here.
import { leaveOut } from "./ablation.js";
import { act, address, cardOf, changed, hub, listen, make, present, seconds, setKnob, stale, step } from "./hub.js";

// What a step's result is, in words: on the badge, and on hovering over it.
const KINDS = {
  measured: ["measured", "Read from the photo"],
  generated: ["generated", "Invented by the method; not in the photo"],
  mixed: ["partly generated", "The photo where it shows the person; invented where it does not"],
};

export function panel(element) {
  const title = make("h2");
  const badge = make("span", { class: "hs-badge" });
  const words = make("p", { class: "hs-summary" });
  const message = make("p", { class: "hs-message", hidden: true });
  const only = make("p", { class: "hs-help hs-only", hidden: true }, "This prepared run keeps only pictures of this step; run from here to make its data.");
  const numbers = make("dl", { class: "hs-numbers" });
  const form = make("div", { class: "hs-knobs" });
  const again = make("button", { type: "button", class: "hs-strong hs-again" });
  const reset = make("button", { type: "button", class: "hs-plain", hidden: true }, "Undo changes");
  const beside = make("button", { type: "button", class: "hs-plain", hidden: true, title: "A second run with these changes; this one stays" }, "Run beside, to compare");
  const brush = make("button", { type: "button", class: "hs-plain", hidden: true, onclick: () => ((hub.wanted.cutout = "paint"), changed()) }, "Edit cut-out by hand");
  const back = make("button", { type: "button", class: "hs-plain", hidden: true }, "Take back the edit");
  const keep = make("a", { class: "hs-plain hs-keep", hidden: true, download: "" });
  const box = make("section", { class: "hs-box hs-panel", "aria-label": "Inspector" },
    make("div", { class: "hs-panel-head" }, title, badge), words, message, numbers, form,
    make("div", { class: "hs-actions" }, again, beside, reset, brush, back, keep), only);
  element.append(box);
  leaveOut(element);
  again.addEventListener("click", () => {
    const name = hub.selected;
    again.disabled = true;
    act("run_from", { step: name, settings: hub.draft });
  });
  beside.addEventListener("click", () => {
    hub.besides = hub.view.run;
    act("beside", { settings: hub.draft });
    location.hash = "#compare";
  });
  reset.addEventListener("click", () => {
    hub.draft = {};
    setKnob(hub.selected, { name: "", default: "" }, "");
  });
  back.addEventListener("click", () => act("take_back", { step: hub.selected }));
  const drawn = { knobs: "", facts: "" };
  listen(() => {
    const now = step(hub.selected);
    box.hidden = !now;
    if (!now) return;
    const card = cardOf(now.name);
    title.textContent = now.title;
    badge.textContent = now.replaced ? "edited by hand" : hub.view.stand_in ? "stand-in" : KINDS[now.kind][0];
    badge.dataset.kind = now.replaced ? "hand" : hub.view.stand_in ? "generated" : now.kind;
    badge.title = KINDS[now.kind][1];
    words.textContent = card?.summary || "";
    message.hidden = !now.message || ["running", "cancelled"].includes(now.state);
    message.textContent = now.message;
    message.dataset.state = now.state;
    only.hidden = now.kept;
    const key = `${hub.view.run} ${now.name} ${Boolean(card)} ${JSON.stringify(hub.view.settings?.[now.name] || {})} ${Object.keys(hub.draft).length ? "" : "clean"}`;
    if (drawn.knobs !== key && !(form.contains(document.activeElement) && drawn.knobs.startsWith(`${hub.view.run} ${now.name} true`) && Object.keys(hub.draft).length)) {
      drawn.knobs = key;
      form.replaceChildren(...(card?.knobs || []).map((knob) => control(now.name, knob)));
    }
    const dirty = Object.keys(hub.draft).length > 0;
    reset.hidden = !dirty;
    beside.hidden = hub.view.guest || !dirty || hub.view.busy;
    const first = hub.view.steps.find((s) => stale().has(s.name));
    again.disabled = !card || (hub.view.busy && !dirty);
    again.textContent = hub.view.stepwise ? "Redo this step" : dirty && first ? `Run again from ${first.title}` : "Run from here";
    again.hidden = Boolean(hub.view.guest);
    brush.hidden = hub.view.guest || now.record !== "cutout" || hub.view.busy || !now.kept;
    back.hidden = hub.view.guest || !now.replaced || hub.view.busy;
    drawNumbers(numbers, now, drawn);
    drawKeep(keep, now);
  });
}

async function drawNumbers(numbers, now, drawn) {
  const own = [];
  if (now.seconds != null && now.state !== "running") own.push(["Time", seconds(now.seconds) + (now.state === "reused" ? " (reused)" : "")]);
  if (now.memory) own.push(["Peak memory", `${Math.round(now.memory)} MB`]);
  const key = `${hub.view.run} ${now.name} ${now.content} ${now.record} ${own.join()}`;
  if (drawn.facts === key) return;
  drawn.facts = key;
  const put = (rows) => numbers.replaceChildren(...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  put(own);
  if (!now.record) return;
  try {
    const answer = await fetch(address(`${hub.view.base}/${now.name}/facts.json?c=${now.content}`));
    if (answer.ok && drawn.facts === key) put([...(await answer.json()), ...own]);
  } catch {
    // The numbers stay without the facts; the next selection asks again.
    drawn.facts = "";
  }
}

function drawKeep(keep, now) {
  keep.hidden = !now.record || !now.kept;
  if (keep.hidden) return;
  keep.href = address(`${hub.view.base}/${now.name}/artefact.zip?c=${now.content}`);
  keep.download = `${now.name}.zip`;
  keep.textContent = "Download this step's files";
}

function control(name, knob) {
  const id = `hs-knob-${name}-${knob.name}`.replace(/\./g, "-");
  const value = hub.draft[name]?.[knob.name] ?? present(name, knob);
  const label = knob.name.replace(/_/g, " ");
  const unit = knob.unit ? ` (${knob.unit})` : "";
  const put = (v) => setKnob(name, knob, v);
  const help = make("p", { class: "hs-help", id: `${id}-help` }, knob.help);
  const reset = make("button", { type: "button", class: "hs-default", "aria-label": `Set ${label} to its default, ${knob.default}`, title: `Default: ${knob.default}` }, "↺");
  let field, echo = null, set;
  if (knob.type === "bool") {
    field = make("input", { type: "checkbox", id, "aria-describedby": `${id}-help` });
    set = (v) => (field.checked = v);
    field.addEventListener("change", () => put(field.checked));
  } else if (knob.choices.length) {
    field = make("select", { id, "aria-describedby": `${id}-help` }, ...knob.choices.map((c) => make("option", { value: c }, c)));
    set = (v) => (field.value = v);
    field.addEventListener("change", () => put(field.value));
  } else if (knob.type !== "str" && knob.low != null && knob.high != null && knob.high - knob.low <= 2000) {
    const stride = knob.type === "int" ? 1 : niceStep(knob.high - knob.low);
    field = make("input", { type: "range", id, min: knob.low, max: knob.high, step: stride, "aria-describedby": `${id}-help` });
    echo = make("input", { type: "number", min: knob.low, max: knob.high, step: knob.type === "int" ? 1 : "any", "aria-label": `${label}${unit}, as a number` });
    set = (v) => (field.value = echo.value = v);
    field.addEventListener("input", () => (echo.value = field.value));
    field.addEventListener("change", () => put(Number(field.value)));
    echo.addEventListener("change", () => {
      const kept = Math.min(Math.max(Number(echo.value), knob.low), knob.high);
      set(kept);
      put(kept);
    });
  } else {
    const number = knob.type !== "str";
    field = make("input", { type: number ? "number" : "text", id, min: knob.low, max: knob.high, step: knob.type === "int" ? 1 : "any", "aria-describedby": `${id}-help` });
    set = (v) => (field.value = v);
    field.addEventListener("change", () => put(number ? Number(field.value) : field.value));
  }
  set(value);
  reset.addEventListener("click", () => {
    set(knob.default);
    put(knob.default);
  });
  const beside = field.type !== "range" && field.type !== "text"; // a slider and a line of text need the whole width
  const head = make("div", { class: "hs-knob-head" }, make("label", { for: id }, label + unit), echo, beside ? field : null, reset);
  return make("div", { class: "hs-knob", "data-knob": knob.name }, head, beside ? null : field, help);
}

function niceStep(range) {
  return 10 ** Math.floor(Math.log10(range / 100));
}
