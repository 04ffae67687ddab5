// One function per widget of the page; Gradio calls each with the widget's element (see ui/layout.py).
import { hub, receive, say } from "./hub.js";
export { rail } from "./rail.js";
export { stage } from "./stage.js";
export { panel } from "./panel.js";
export { photo, examples } from "./photo.js";
export { files } from "./files.js";

// The hidden component through which snapshots come and actions go.
export function door(element, { props, trigger, watch }) {
    hub.act = (data) => trigger("act", data);
  watch("value", () => receive(props.value));
  receive(props.value);
  setTimeout(() => {
    if (hub.view.state === "loading") say("The page's server does not answer yet; reload the page in a moment.", "error");
  }, 20000);
  theme();
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
