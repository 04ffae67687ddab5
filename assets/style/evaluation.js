// The evaluation: stored results, or a file of one's own, as HTML that the server builds from the JSON.
import { address, make } from "./hub.js";

const AT = "#evaluation";

export function evaluation(element) {
  const choose = make("input", { type: "file", accept: ".json,application/json", id: "hs-eval-file", class: "hs-hidden-input", "aria-label": "Load an evaluate.json" });
  const load = make("button", { type: "button", class: "hs-plain", onclick: () => choose.click() }, "Load an evaluate.json");
  const close = make("a", { class: "hs-plain", href: "#" }, "Back to the person");
  const note = make("p", { class: "hs-message", role: "alert", hidden: true });
  const body = make("div", { class: "hs-eval-body", "aria-live": "polite" });
  const head = make("div", { class: "hs-eval-head" }, make("h2", { tabindex: "-1" }, "Evaluation"),
    make("p", { class: "hs-soft" }, "Scores of the systems, read from stored results."), choose, load, close);
  element.append(head, note, body);
  let drawn = false;

  const tell = (words) => {
    note.hidden = !words;
    note.textContent = words;
  };
  const put = (html) => {
    body.innerHTML = html; // built and escaped by the server
    drawn = true;
    tell("");
  };
  async function ask(path, options) {
    body.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address(path), options);
      if (answer.ok) put(await answer.text());
      else tell((await answer.json()).detail || "The results could not be read.");
    } catch {
      tell("The results could not be fetched; check the connection and try again.");
    } finally {
      body.removeAttribute("aria-busy");
    }
  }
  choose.addEventListener("change", () => {
    const file = choose.files[0];
    if (file) ask(`evaluation/?${new URLSearchParams({ name: file.name })}`, { method: "POST", body: file });
    choose.value = "";
  });
  body.addEventListener("change", (event) => {
    if (event.target.id === "hs-eval-table") ask(`evaluation/?${new URLSearchParams({ table: event.target.value })}`);
  });
  body.addEventListener("click", async (event) => {
    if (event.target.id === "hs-eval-back") ask("evaluation/");
    if (!event.target.classList.contains("hs-copy")) return;
    const text = event.target.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(text.textContent);
      event.target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // no clipboard without https: the line is selected instead
    }
  });
  const show = () => location.hash === AT && !drawn && ask("evaluation/");
  window.addEventListener("hashchange", () => {
    show();
    if (location.hash === AT) head.querySelector("h2").focus();
  });
  show();
}
