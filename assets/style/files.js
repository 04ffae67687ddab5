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
  const share = make("button", { type: "button", class: "hs-plain", onclick: () => act("share") }, "Share");
  const mine = make("div", { class: "hs-row hs-mine" }, left, share, erase);
  const link = make("input", { type: "text", readonly: true, "aria-label": "Link to this run", onfocus: () => link.select() });
  const copy = make("button", { type: "button", class: "hs-plain" }, "Copy link");
  const end = make("button", { type: "button", class: "hs-plain", onclick: () => act("unshare") }, "Stop sharing");
  const told = make("p", { class: "hs-help" }, "Whoever has the link sees the photo, every step and the files, and can change nothing.");
  const sharing = make("div", { class: "hs-sharing", hidden: true }, make("div", { class: "hs-row" }, link, copy, end), told);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(link.value);
      copy.textContent = "Copied";
    } catch {
      link.select(); // no clipboard without https: the link is selected instead
    }
  });
  const box = make("section", { class: "hs-box", "aria-label": "Files" }, make("h2", { class: "hs-heading" }, "Files to keep"), list, mine, sharing);
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
    sharing.hidden = !hub.view.mine || !hub.view.shared;
    share.textContent = hub.view.shared ? "New link" : "Share";
    share.title = hub.view.shared ? "The link before it ends" : "Make a link for others to look at this run";
    if (hub.view.link) {
      link.value = address(hub.view.link);
      copy.textContent = "Copy link";
    } else if (hub.view.run !== sharing.dataset.run) link.value = "";
    sharing.dataset.run = hub.view.run;
    link.hidden = copy.hidden = !link.value;
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
