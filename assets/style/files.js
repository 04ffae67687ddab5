// Downloads: one button per format; the file is made when it is asked for.
import { act, address, hub, listen, make, say, size } from "./hub.js";

export function files(element, { props }) {
  const formats = props.formats || [];
  const list = make("ul", { class: "hs-formats" });
  for (const entry of formats) list.append(make("li", {}, button(entry)));
  const left = make("p", { class: "hs-soft hs-expiry" });
  const erase = make("button", { type: "button", class: "hs-plain hs-danger" }, "Delete now");
  erase.addEventListener("click", () => {
    if (confirm("Delete this run, the photo and everything made from it?")) act("delete");
  });
  const mine = make("div", { class: "hs-row hs-mine" }, left, erase);
  const box = make("section", { class: "hs-box", "aria-label": "Files" }, make("h2", { class: "hs-heading" }, "Files to keep"), list, mine);
  element.append(box);
  listen(() => {
    const kinds = new Set(hub.view.steps.filter((s) => s.plates.length && s.kept).map((s) => s.record));
    box.hidden = !hub.view.steps.length;
    formats.forEach((entry, i) => {
      const there = entry.part === "*" ? kinds.size > 0 : kinds.has(entry.part);
      list.children[i].hidden = !there;
    });
    box.classList.toggle("hs-none", ![...list.children].some((c) => !c.hidden));
    mine.hidden = !hub.view.mine;
    if (hub.view.expires) {
      const hours = Math.max(0, (hub.view.expires - Date.now() / 1000) / 3600);
      left.textContent = `Kept for ${hours < 1 ? "less than an hour" : `${Math.round(hours)} more hours`}.`;
    }
  });
}

export function button(entry) {
  const words = make("span", { class: "hs-format-size" });
  const found = make("button", { type: "button", class: "hs-format", title: entry.what }, make("b", {}, entry.label), words);
  found.dataset.format = entry.format;
  found.addEventListener("click", () => fetchFile(entry, found, words));
  return found;
}

async function fetchFile(entry, found, words) {
  if (found.getAttribute("aria-busy") === "true") return;
  const where = address(`${hub.view.base}/export/${entry.format}`);
  found.setAttribute("aria-busy", "true");
  words.textContent = "making it…";
  try {
    const answer = await fetch(`${where}?prepare=1`);
    const facts = await answer.json();
    if (!answer.ok) throw new Error(facts.detail);
    words.textContent = size(facts.bytes);
    make("a", { href: where, download: facts.name }).click();
  } catch (error) {
    words.textContent = "";
    say(error.message || "The file could not be made; try again.", "error");
  } finally {
    found.removeAttribute("aria-busy");
  }
}
