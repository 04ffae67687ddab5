// One function per widget of the page; Gradio calls each with the widget's element (see ui/layout.py).
import { openDoor } from "./door.js";
import { hub, listen } from "./hub.js";
import { pages } from "./pages.js";
export { rail } from "./rail.js";
export { stage } from "./stage.js";
export { panel } from "./panel.js";
export { photo, examples } from "./photo.js";
export { files } from "./files.js";
export { evaluation } from "./evaluation.js";
export { compare } from "./compare.js";

// The hidden component that opens the way to the server, once all that draws is asked for.
export function door() {
  openDoor();
  openShared();
  theme();
  pages();
}

// A link '#run/NAME/KEY' shows a run that somebody shared.
function openShared() {
  let asked = "";
  const open = () => {
    const [, run, key] = location.hash.match(/^#run\/([0-9a-f]{32})\/([0-9a-f]{32})$/) || [];
    if (!run || !hub.visitor || asked === location.hash) return;
    asked = location.hash;
    if (hub.view.run !== run) hub.act({ type: "open", run, key });
  };
  window.addEventListener("hashchange", () => ((asked = ""), open()));
  listen(open);
}

function theme() {
  const button = document.querySelector(".hs-theme");
  const set = (dark) => document.body.classList.toggle("dark", dark);
  const kept = localStorage.getItem("humanscope-theme");
  if (kept && !new URLSearchParams(location.search).has("__theme")) set(kept === "dark");
  button?.addEventListener("click", () => {
    const dark = !document.body.classList.contains("dark");
    set(dark);
    localStorage.setItem("humanscope-theme", dark ? "dark" : "light");
    window.dispatchEvent(new Event("hs-theme"));
  });
}
