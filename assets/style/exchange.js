// A picture from elsewhere in a step's place: how it has to be framed, and the file to put in.
import { act, address, hub, make, say } from "./hub.js";

const WORDS = "A picture of the person from behind, at the place and of the size seen here. What is not square gets white on both sides; all later steps are made anew.";

export function exchange(box) {
  const image = make("img", { alt: "The coarse person from behind, framed as the new picture has to be" });
  const file = make("input", { type: "file", accept: "image/png,image/webp,image/jpeg", class: "hs-hidden-input", "aria-label": "Picture to put in this one's place", tabindex: "-1" });
  const put = make("button", { type: "button", class: "hs-strong" }, "Put in a picture");
  const bar = make("div", { class: "hs-wipe-bar" }, put, make("span", { class: "hs-soft hs-grid-words" }, WORDS), file);
  box.append(make("div", { class: "hs-grid-pair hs-exchange" }, make("figure", {}, image)), bar);
  let sending = false;
  put.addEventListener("click", () => {
    file.value = "";
    file.click();
  });
  file.addEventListener("change", async () => {
    const picked = file.files[0], step = hub.selected;
    if (!picked || sending) return;
    [sending, put.disabled] = [true, true];
    try {
      const query = new URLSearchParams({ name: picked.name || "back" });
      const answer = await fetch(address(`photo/${hub.visitor}?${query}`), { method: "POST", body: picked });
      const facts = await answer.json();
      if (!answer.ok) throw new Error(facts.detail);
      act("back", { step, upload: facts.upload });
    } catch (error) {
      say(error.message || "The picture could not be sent; try again.", "error");
    } finally {
      [sending, put.disabled] = [false, false];
    }
  });
  return {
    show(plate) {
      const src = address(plate.src);
      if (image.src !== src) image.src = src;
      put.hidden = Boolean(hub.view.busy || hub.view.guest);
    },
  };
}
