// The photo: drop, choose, camera, paste; and the examples.
import { act, address, changed, hub, listen, make, say } from "./hub.js";

let take = async () => {};

export function photo(element, { props }) {
  const choose = make("input", { type: "file", accept: "image/*,.heic,.heif", id: "hs-file", "aria-label": "Choose a photo", class: "hs-hidden-input" });
  const picture = make("img", { alt: "The photo you chose", hidden: true });
  const [first, second] = [make("b"), make("span")];
  const words = make("span", { class: "hs-drop-words" }, first, second);
  const zone = make("label", { class: "hs-drop", for: "hs-file" }, picture, words);
  const browse = make("button", { type: "button", class: "hs-plain", onclick: () => choose.click() }, "Choose");
  const camera = make("button", { type: "button", class: "hs-plain", onclick: () => openCamera(take) }, "Camera");
  const paste = make("span", { class: "hs-soft" }, "or paste");
  const name = make("p", { class: "hs-file-name", "aria-live": "polite" });
  const heading = make("h2", { class: "hs-heading" });
  element.append(heading, choose, zone, make("div", { class: "hs-row" }, browse, camera, paste), name);

  // What the chosen method begins with decides what can be dropped.
  const begin = (entry) => {
    const archive = entry === "archive";
    if (hub.entry !== entry) forget();
    hub.entry = entry;
    heading.textContent = archive ? "Views" : "Photo";
    first.textContent = archive ? "Drop a ZIP of views" : "Drop a photo";
    second.textContent = archive ? "pictures from several sides" : "one person, head to feet";
    choose.accept = archive ? ".zip,application/zip" : "image/*,.heic,.heif";
    choose.setAttribute("aria-label", archive ? "Choose a ZIP of views" : "Choose a photo");
    camera.hidden = paste.hidden = archive;
    document.body.dataset.hsEntry = entry;
    changed();
  };
  const forget = () => {
    hub.upload = "";
    name.textContent = "";
    picture.hidden = true;
    zone.classList.remove("hs-full");
    delete document.body.dataset.hsPhoto;
  };
  const chosen = async (system) => {
    const answer = await fetch(address(`systems/${system}.json`)).catch(() => null);
    if (answer?.ok) begin((await answer.json()).entry);
  };
  begin("photo");
  window.addEventListener("hs-system", (event) => chosen(event.detail.system));
  if (props.system) chosen(props.system);

  take = (file) => (hub.sending = file ? bring(file) : null);
  const bring = async (file) => {
    hub.upload = "";
    const archive = hub.entry === "archive", limit = archive ? hub.view.archive_bytes : hub.view.upload_bytes;
    const what = archive ? "ZIP" : "photo";
    if (limit && file.size > limit) {
      say(`The ${what} is larger than ${Math.round(limit / 2 ** 20)} MB; send a smaller ${archive ? "one" : "copy"}.`, "error");
      return;
    }
    name.textContent = "Sending…";
    if (hub.picture && ![hub.backdrop, hub.startedWith].includes(hub.picture)) URL.revokeObjectURL(hub.picture);
    hub.picture = picture.src = archive ? "" : URL.createObjectURL(file);
    picture.hidden = archive;
    zone.classList.toggle("hs-full", !archive);
    picture.onerror = () => {
      hub.picture = "";
      picture.hidden = true; // a kind that this browser cannot show; the server says what it makes of it
      zone.classList.remove("hs-full");
    };
    const query = new URLSearchParams({ name: file.name || what, ...(archive ? { kind: "archive" } : {}) });
    let answer, facts;
    try {
      answer = await fetch(address(`photo/${hub.visitor}?${query}`), { method: "POST", body: file });
      facts = await answer.json();
    } catch {
      name.textContent = "";
      say(`The ${what} could not be sent; check the connection and try again.`, "error");
      return;
    }
    if (!answer.ok) {
      name.textContent = "";
      say(facts.detail || `The ${what} could not be sent; try another.`, "error");
      return;
    }
    hub.upload = facts.upload;
    name.textContent = file.name || what;
    say("");
    document.body.dataset.hsPhoto = "yes";
  };

  choose.addEventListener("change", () => take(choose.files[0]));
  for (const kind of ["dragover", "dragenter"]) {
    document.addEventListener(kind, (event) => {
      if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
      event.preventDefault();
      zone.classList.add("hs-over");
    });
  }
  for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => zone.classList.remove("hs-over"));
  document.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files?.[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
    if (file && hub.entry === "photo") take(file);
  });
}

async function openCamera(use) {
  if (!navigator.mediaDevices?.getUserMedia) {
    say("This browser gives no camera here (it needs https or localhost); choose a photo instead.", "error");
    return;
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 }, height: { ideal: 1080 } } });
  } catch {
    say("The camera was not allowed, or there is none; choose a photo instead.", "error");
    return;
  }
  const video = make("video", { autoplay: true, playsinline: true, "aria-label": "Camera picture" });
  video.srcObject = stream;
  const dialog = make("dialog", { class: "hs-camera", "aria-label": "Take a photo" });
  const end = () => {
    stream.getTracks().forEach((track) => track.stop());
    dialog.close();
    dialog.remove();
  };
  const shoot = async (wait) => {
    for (let left = wait; left > 0; left--) {
      count.textContent = left;
      await new Promise((done) => setTimeout(done, 1000));
    }
    const canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      end();
      use(new File([blob], "camera.png", { type: "image/png" }));
    }, "image/png");
  };
  const count = make("span", { class: "hs-count", "aria-live": "assertive" });
  dialog.append(video, count, make("div", { class: "hs-row" },
    make("button", { type: "button", class: "hs-strong", onclick: () => shoot(0) }, "Take it"),
    make("button", { type: "button", class: "hs-plain", onclick: () => shoot(5) }, "In 5 seconds"),
    make("button", { type: "button", class: "hs-plain", onclick: end }, "Cancel")));
  dialog.addEventListener("cancel", end);
  document.body.append(dialog);
  dialog.showModal();
}

export function examples(element, { props }) {
  const found = props.examples || [];
  if (!found.length) return;
  const lists = Object.fromEntries(["run", "photo", "views"].map((kind) => [kind, make("ul", { class: "hs-gallery" })]));
  const buttons = found.map((entry) => {
    const picture = entry.poster ? make("img", { src: address(entry.poster), alt: "", loading: "lazy" }) : null;
    const button = make("button", { type: "button" }, picture, make("span", {}, entry.label));
    button.title = { run: "Open this prepared run", photo: "Use this photo", views: "Use these views" }[entry.kind];
    button.addEventListener("click", async () => {
      if (entry.kind === "run") act("example", { name: entry.name });
      else {
        const answer = await fetch(address(`examples/${entry.name}`));
        take(new File([await answer.blob()], entry.name));
      }
    });
    lists[entry.kind].append(make("li", {}, button));
    return button;
  });
  const heads = {};
  for (const [kind, words] of [["photo", "Photos to try"], ["views", "Views to try"], ["run", "Prepared runs"]]) {
    heads[kind] = make("h2", { class: "hs-heading" }, words);
    if (lists[kind].children.length) element.append(heads[kind], lists[kind]);
  }
  listen(() => {
    // Only what the chosen method can begin with is offered.
    lists.photo.hidden = heads.photo.hidden = hub.entry !== "photo";
    lists.views.hidden = heads.views.hidden = hub.entry !== "archive";
    const shown = hub.view.mine ? null : hub.view.run;
    found.forEach((entry, i) => buttons[i].toggleAttribute("aria-current", entry.kind === "run" && entry.name === shown));
  });
}
