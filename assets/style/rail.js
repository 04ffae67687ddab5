// The rail: the steps of the run in their order, each with its state in words.
import { act, banners, followAgain, hub, listen, make, seconds, select, stale } from "./hub.js";

const SIGNS = {
  waiting: "○", queued: "◷", running: "●", done: "✓", reused: "↺", "needs-you": "✎", warning: "!", failed: "✕",
  cancelled: "■", stale: "◌", missing: "?",
};

export function rail(element) {
  const list = make("ol", { class: "hs-steps", "aria-label": "Steps of the run" });
  const close = make("button", { type: "button", "aria-label": "Close this message", onclick: () => (banner.hidden = true) }, "✕");
  const banner = make("p", { class: "hs-banner", hidden: true }, make("span"), close);
  const status = make("p", { class: "hs-status" });
  const spoken = make("p", { class: "hs-spoken", "aria-live": "polite" });
  const follow = make("button", { type: "button", class: "hs-chip", hidden: true, onclick: followAgain }, "Follow the run");
  const onward = make("button", { type: "button", class: "hs-chip hs-strong", hidden: true }, "Continue");
  onward.addEventListener("click", () => act("continue"));
  const back = make("button", { type: "button", class: "hs-chip", hidden: true, onclick: () => act("mine") }, "Back to your run");
  const line = make("div", { class: "hs-line" }, status, onward, follow, back);
  element.append(banner, list, line, spoken);
  banners(banner);
  list.addEventListener("keydown", (event) => move(event, list));
  listen(() => {
    draw(list);
    const words = sentence();
    status.textContent = words.shown;
    if (spoken.textContent !== words.spoken) spoken.textContent = words.spoken;
    follow.hidden = hub.following || !hub.view.busy;
    const next = hub.view.steps.find((s) => ["waiting", "stale", "failed", "cancelled", "missing"].includes(s.state));
    const resumable = !hub.view.busy && next && hub.view.mine;
    onward.hidden = !resumable;
    onward.textContent = hub.view.state === "failed" || hub.view.state === "cancelled" ? "Resume" : "Continue";
    if (next) onward.title = `Goes on with: ${next.title}`;
    back.hidden = !(hub.view.has_mine && !hub.view.mine);
  });
}

function draw(list) {
  const steps = hub.view.steps;
  const old = stale();
  if (list.children.length !== steps.length || steps.some((s, i) => list.children[i].dataset.step !== s.name)) {
    list.replaceChildren(...steps.map(item));
  }
  steps.forEach((s, i) => {
    const state = old.has(s.name) && !["waiting", "queued"].includes(s.state) ? "stale" : s.state;
    const word = state === s.state ? s.word : "out of date";
    const entry = list.children[i];
    const button = entry.firstElementChild;
    entry.dataset.state = state;
    entry.dataset.kind = s.kind;
    const chosen = s.name === hub.selected;
    button.setAttribute("aria-pressed", chosen ? "true" : "false");
    button.tabIndex = chosen || (!hub.selected && i === 0) ? 0 : -1;
    if (s.state === "running" || s.state === "needs-you") entry.setAttribute("aria-current", "step");
    else entry.removeAttribute("aria-current");
    const [sign, title, words] = button.children;
    sign.textContent = SIGNS[state] || "○";
    title.textContent = s.title;
    words.textContent = state === "done" && s.seconds != null ? `${word} ${seconds(s.seconds)}` : word;
    button.title = s.message || "";
    entry.style.setProperty("--part", state === "running" && s.fraction != null ? s.fraction : 0);
    if (chosen && list.dataset.at !== s.name) {
      list.dataset.at = s.name;
      const middle = entry.offsetLeft - (list.clientWidth - entry.offsetWidth) / 2;
      list.scrollTo({ left: middle, behavior: "auto" });
    }
  });
}

function item(s) {
  const sign = make("span", { class: "hs-sign", "aria-hidden": "true" });
  const button = make("button", { type: "button" }, sign, make("span", { class: "hs-title" }), make("span", { class: "hs-word" }));
  button.addEventListener("click", () => select(s.name));
  const entry = make("li", {}, button);
  entry.dataset.step = s.name;
  return entry;
}

function move(event, list) {
  const buttons = [...list.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (to === undefined || !buttons[to]) return;
  event.preventDefault();
  select(hub.view.steps[to].name);
  buttons[to].focus();
}

function sentence() {
  const view = hub.view;
  if (view.state === "loading") return { shown: "", spoken: "" };
  if (!view.steps.length) return { shown: hub.entry === "archive" ? "No run yet. Choose a ZIP of views of one person." : "No run yet. Choose a photo of one person, head to feet.", spoken: "" };
  const running = view.steps.find((s) => s.state === "running");
  if (running) {
    const part = running.fraction == null ? "" : `, ${Math.round(running.fraction * 100)} %`;
    const note = running.message ? `: ${running.message}` : "";
    return { shown: `${running.title}${part}${note}`, spoken: `${running.title} is running` };
  }
  if (view.state === "queued") {
    const wait = view.position ? `Queued; ${view.position} before you. You can close this page.` : "Starting…";
    return { shown: wait, spoken: wait };
  }
  const turn = view.steps.find((s) => s.state === "needs-you");
  if (turn) return both(`${turn.title} is done. Look at it, then continue, or change a knob and redo it.`);
  if (view.guest) return both("A run that was shared with you, to look at. Drop a photo to make your own.");
  if (!view.mine) return both(`A prepared run: ${view.run.replace(/[_-]/g, " ")}. Drop a photo to make your own.`);
  if (view.state === "cancelled") return both("Stopped. What was finished is kept.");
  if (view.message) return both(view.message);
  if (stale().size) return both(`${stale().size} steps are out of date; run again from the changed one.`);
  const total = view.steps.reduce((sum, s) => sum + (s.state === "reused" ? 0 : s.seconds || 0), 0);
  if (view.state === "done") return both(`Done${total ? ` in ${seconds(total)}` : ""}.`);
  const next = view.steps.find((s) => ["stale", "waiting"].includes(s.state));
  return both(next ? `Next: ${next.title}.` : "");
}

const both = (words) => ({ shown: words, spoken: words });
