// The photo: drop, choose, camera, paste; and the examples.
import { act, address, hub, listen, make, say } from "./hub.js";

let take = async () => {};

export function photo(element, { props }) {
  const choose = make("input", { type: "file", accept: "image/*,.heic,.heif", id: "hs-file", "aria-label": "Choose a photo", class: "hs-hidden-input" });
  const picture = make("img", { alt: "The photo you chose", hidden: true });
  const words = make("span", { class: "hs-drop-words" }, make("b", {}, "Drop a photo"), make("span", {}, "one person, head to feet"));
  const zone = make("label", { class: "hs-drop", for: "hs-file" }, picture, words);
  const browse = make("button", { type: "button", class: "hs-plain", onclick: () => choose.click() }, "Choose");
  const camera = make("button", { type: "button", class: "hs-plain", onclick: () => openCamera(take) }, "Camera");
  const name = make("p", { class: "hs-file-name", "aria-live": "polite" });
  element.append(make("h2", { class: "hs-heading" }, "Photo"), choose, zone,
    make("div", { class: "hs-row" }, browse, camera, make("span", { class: "hs-soft" }, "or paste")), name);

  take = async (file) => {
    if (!file) return;
    props.value = null;
    if (hub.view.upload_bytes && file.size > hub.view.upload_bytes) {
      say(`The photo is larger than ${Math.round(hub.view.upload_bytes / 2 ** 20)} MB; send a smaller copy.`, "error");
      return;
    }
    name.textContent = "Sending…";
    if (picture.src) URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(file);
    picture.hidden = false;
    zone.classList.add("hs-full");
    picture.onerror = () => {
      picture.hidden = true; // a kind that this browser cannot show; the server says what it makes of it
      zone.classList.remove("hs-full");
    };
    const query = new URLSearchParams({ name: file.name || "photo" });
    let answer, facts;
    try {
      answer = await fetch(address(`photo/${hub.visitor}?${query}`), { method: "POST", body: file });
      facts = await answer.json();
    } catch {
      name.textContent = "";
      say("The photo could not be sent; check the connection and try again.", "error");
      return;
    }
    if (!answer.ok) {
      name.textContent = "";
      say(facts.detail || "The photo could not be sent; try another.", "error");
      return;
    }
    props.value = { upload: facts.upload };
    name.textContent = file.name || "photo";
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
    if (file) take(file);
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
  const lists = { run: make("ul", { class: "hs-gallery" }), photo: make("ul", { class: "hs-gallery" }) };
  const buttons = found.map((entry) => {
    const picture = entry.poster ? make("img", { src: address(entry.poster), alt: "", loading: "lazy" }) : null;
    const button = make("button", { type: "button" }, picture, make("span", {}, entry.label));
    button.title = entry.kind === "run" ? "Open this prepared run" : "Use this photo";
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
  for (const [kind, words] of [["photo", "Photos to try"], ["run", "Prepared runs"]]) {
    if (lists[kind].children.length) element.append(make("h2", { class: "hs-heading" }, words), lists[kind]);
  }
  listen(() => {
    const shown = hub.view.mine ? null : hub.view.run;
    found.forEach((entry, i) => buttons[i].toggleAttribute("aria-current", entry.kind === "run" && entry.name === shown));
  });
}
