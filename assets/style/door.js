// The way to the server and back. What was pressed is sent until it is answered, under one number, so that it is done
// once; a run is looked at until it rests. Whatever breaks in between (the connection, the server, a laptop that slept),
// the page asks again and says so in one sentence.
import { address, changed, hub, receive, said, say } from "./hub.js";

const KEY = "humanscope-note"; // what the browser keeps: the visitor's token, and which run is shown
const PATIENCE = 15000; // ms until a question is asked again; the server answers within 8 s, if only "not yet"
const SLOWEST = 20; // bytes per ms of the slowest connection on which a painted cut-out arrives
const PAUSES = [300, 1000, 2000, 4000]; // ms before asking again
const BREATH = 200; // ms between two looks at a run under way
export const LOST = "The connection to the server is interrupted; trying again.";
export const REGAINED = "Connected again.";

let note = kept();
let begin; // resolves with the first look, which brings a new visitor's token: without it nothing can be done
let queue = new Promise((done) => (begin = done)); // acts are sent one after the other
let seen = ""; // the server's mark of what is shown
let looking = null; // the present follower; an older one is aborted
const unanswered = new Set();
const resting = new Set(); // ends of the pauses under way

// Ask what is to be seen now, and follow it while it is busy.
export function follow() {
  looking?.abort();
  const own = (looking = new AbortController());
  return followOn(own.signal);
}

async function followOn(over) {
  for (;;) {
    const found = await ask("door/look", { note, seen }, over);
    if (over.aborted) return;
    if (found.error) {
      say(found.error, "error");
      await pause(PAUSES.at(-1));
    } else {
      if (!unanswered.size || !note.token) take(found);
      else if (found.view?.run === hub.view.run) show(found); // the note comes with the act's answer
      begin();
      if (!hub.view.busy) return;
      await pause(BREATH);
    }
    if (over.aborted) return;
  }
}

// Send what was pressed. The same thing pressed again before it is answered is one thing.
export function send(data) {
  const act = { stepwise: hub.stepwise, ...data };
  const text = JSON.stringify(act);
  if (unanswered.has(text)) return;
  unanswered.add(text);
  document.body.dataset.hsPending = "yes";
  const sent = act.type === "stop" ? deliver(act, text) : queue.then(() => deliver(act, text));
  if (act.type !== "stop") queue = sent;
}

async function deliver(act, text) {
  const asked = { number: number(), note, act };
  let found;
  do found = await ask("door/act", asked);
  while (found.wait);
  unanswered.delete(text);
  document.body.dataset.hsPending = unanswered.size ? "yes" : "no";
  if (found.error) {
    say(found.error, "error");
    changed();
  } else if (act.type !== "stop" || !unanswered.size) take(found);
  follow();
}

function take(found) {
  keep(found.note);
  show(found);
  if (found.notice) say(found.notice);
}

function show({ view, seen: mark, link }) {
  seen = mark;
  if (view) receive(link ? { ...view, link } : view);
}

// The answer to a question, however often it has to be asked; null when nobody wants it any more.
async function ask(where, question, over = null) {
  const text = JSON.stringify(question);
  for (let failed = 0; ; failed++) {
    const found = await askOnce(where, text, over);
    if (over?.aborted) return null;
    const broken = found.fault && failed > 1;
    if (found.answer || broken) regained();
    if (found.answer) return found.answer;
    if (broken) return { error: `The server could not do this (error ${found.fault}); its log says why. Try again, or reload the page.` };
    if (failed || found.late) lost();
    await pause(PAUSES[Math.min(failed, PAUSES.length - 1)]);
    if (over?.aborted) return null;
  }
}

async function askOnce(where, text, over) {
  const cut = new AbortController();
  const leave = () => cut.abort();
  let late = false;
  const timer = setTimeout(() => ((late = true), leave()), PATIENCE + text.length / SLOWEST);
  over?.addEventListener("abort", leave);
  try {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(address(where), { method: "POST", body: text, headers, cache: "no-store", signal: cut.signal });
    if (answer.ok) return { answer: await answer.json() };
    if ([502, 503, 504].includes(answer.status)) return {}; // a proxy, before a server that starts again
    if (answer.status >= 500) return { fault: answer.status };
    const { detail } = await answer.json();
    return { answer: { error: detail || `The server refused this (error ${answer.status}); reload the page.` } };
  } catch {
    return { late };
  } finally {
    clearTimeout(timer);
    over?.removeEventListener("abort", leave);
  }
}

function lost() {
  say(LOST, "wait");
}
function regained() {
  if (said() !== LOST) return;
  say(REGAINED);
  window.dispatchEvent(new Event("hs-regained"));
  setTimeout(() => said() === REGAINED && say(""), 4000);
}

function pause(milliseconds) {
  return new Promise((done) => {
    const end = () => {
      clearTimeout(timer);
      resting.delete(end);
      done();
    };
    const timer = setTimeout(end, milliseconds);
    resting.add(end);
  });
}

// Back from sleep, from another tab, or on the network again: look at once.
function wake() {
  if (document.visibilityState === "hidden") return;
  for (const end of [...resting]) end();
  if (!unanswered.size) follow();
}

export function openDoor() {
  hub.act = send;
  follow();
  window.addEventListener("online", wake);
  window.addEventListener("pageshow", (event) => event.persisted && wake());
  document.addEventListener("visibilitychange", wake);
  window.addEventListener("hs-stepwise", (event) => (hub.stepwise = Boolean(event.detail.stepwise)));
  window.addEventListener("hs-stop", () => send({ type: "stop" }));
  window.addEventListener("hs-start", async (event) => {
    await hub.sending; // a photo on its way
    hub.startedWith = hub.picture;
    send({ type: "start", upload: hub.upload, ...event.detail });
  });
}

function number() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) || {};
  } catch {
    return {}; // no store, as in a private window; the note lives as long as the page
  }
}

function keep(found) {
  note = found;
  try {
    localStorage.setItem(KEY, JSON.stringify(note));
  } catch {
    // As above.
  }
}
