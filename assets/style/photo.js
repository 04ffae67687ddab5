// The photo: drop, choose, camera, paste; and the examples.
import { bundle, dropped, glimpse, isZip, viewsAmong } from "./bundle.js";
import { act, address, changed, hub, listen, make, say } from "./hub.js";

let take = async () => {};
let begun = () => {}; // resolves the wait for the method that takes views

export function photo(element, { props }) {
  const choose = make("input", { type: "file", accept: "image/*,.heic,.heif", id: "hs-file", "aria-label": "Choose a photo", class: "hs-hidden-input" });
  const picture = make("img", { alt: "The photo you chose", hidden: true });
  const [first, second] = [make("b"), make("span")];
  const words = make("span", { class: "hs-drop-words" }, first, second);
  const zone = make("label", { class: "hs-drop", for: "hs-file" }, picture, words);
  const browse = make("button", { type: "button", class: "hs-plain", onclick: () => choose.click() }, "Choose");
  const folder = make("input", { type: "file", webkitdirectory: true, class: "hs-hidden-input", id: "hs-folder", tabindex: "-1", "aria-label": "Choose a folder of views" });
  const whole = make("button", { type: "button", class: "hs-plain", onclick: () => folder.click() }, "Folder");
  const camera = make("button", { type: "button", class: "hs-plain", onclick: () => openCamera((file) => take([file])) }, "Camera");
  const paste = make("span", { class: "hs-soft" }, "or paste");
  const name = make("p", { class: "hs-file-name", "aria-live": "polite" });
  const heading = make("h2", { class: "hs-heading" });
  element.append(heading, choose, folder, zone, make("div", { class: "hs-row" }, browse, whole, camera, paste), name);

  // What the chosen method begins with decides what can be dropped.
  const begin = (entry) => {
    const archive = entry === "archive";
    if (hub.entry !== entry) forget();
    hub.entry = entry;
    heading.textContent = archive ? "Views" : "Photo";
    first.textContent = archive ? "Drop the views" : "Drop a photo";
    second.textContent = archive ? "a folder, a ZIP or the pictures" : "one person, head to feet";
    choose.accept = archive ? ".zip,application/zip,.json,image/png,image/webp,image/jpeg" : "image/*,.heic,.heif,.zip";
    choose.multiple = archive;
    choose.setAttribute("aria-label", archive ? "Choose a ZIP of views, or the pictures" : "Choose a photo");
    camera.hidden = paste.hidden = archive;
    whole.hidden = !archive;
    document.body.dataset.hsEntry = entry;
    begun();
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

  take = (files, name = "") => (hub.sending = files.length ? sort(files, name) : null);
  // A ZIP, a folder or several pictures are views, whatever method is chosen: the method that takes them is then.
  const sort = async (files, name) => {
    const { entry } = hub;
    const many = name || files.length > 1 || isZip(files[0]);
    if (!many && hub.entry === "archive" && files[0].type.startsWith("image/")) {
      say("One picture came; views are two or more of one person. Drop a folder, a ZIP or all the pictures, or choose another method.", "error");
      return;
    }
    if (!many) return bring(files[0]);
    if (hub.entry !== "archive" && !(await viewsMethod())) {
      say("Several files came; this method takes one photo.", "error");
      return;
    }
    const kept = files.length === 1 ? files : viewsAmong(files);
    if (!kept.length) {
      say("There is no PNG, WebP or JPEG in this folder; drop the one that the views lie in.", "error");
      return;
    }
    const other = hub.entry !== entry;
    await bring(isZip(kept[0]) ? kept[0] : await bundle(kept, name));
    if (hub.upload && other) say(`These are views, so the method is now '${props.views}'; Settings have the others.`);
  };
  const viewsMethod = () => new Promise((done) => {
    if (!props.views) return done(false);
    begun = () => hub.entry === "archive" && done(true);
    document.querySelector("#hs-take-views").click();
  });
  const bring = async (file) => {
    hub.upload = "";
    delete document.body.dataset.hsPhoto;
    const archive = hub.entry === "archive", limit = archive ? hub.view.archive_bytes : hub.view.upload_bytes;
    const what = archive ? "set of views" : "photo";
    if (limit && file.size > limit) {
      say(`The ${what} is larger than ${Math.round(limit / 2 ** 20)} MB; send ${archive ? "fewer or smaller pictures" : "a smaller copy"}.`, "error");
      return;
    }
    name.textContent = "Sending…";
    if (hub.picture && ![hub.backdrop, hub.startedWith].includes(hub.picture)) URL.revokeObjectURL(hub.picture);
    const seen = archive ? await glimpse(file) : { front: file };
    hub.picture = picture.src = seen ? URL.createObjectURL(seen.front) : "";
    picture.hidden = !seen;
    picture.alt = archive ? "The front view that you chose" : "The photo you chose";
    zone.classList.toggle("hs-full", Boolean(seen));
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
    name.textContent = seen?.pictures ? `${seen.pictures} pictures, ${file.name}` : file.name || what;
    say("");
    document.body.dataset.hsPhoto = "yes";
  };

  choose.addEventListener("change", () => take([...choose.files]));
  folder.addEventListener("change", () => {
    const inside = [...folder.files].filter((file) => file.webkitRelativePath.split("/").length === 2); // none deeper
    take(inside, inside[0]?.webkitRelativePath.split("/")[0] || "");
  });
  for (const kind of ["dragover", "dragenter"]) {
    document.addEventListener(kind, (event) => {
      if (![...(event.dataTransfer?.types || [])].includes("Files")) return;
      event.preventDefault();
      zone.classList.add("hs-over");
    });
  }
  for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => zone.classList.remove("hs-over"));
  document.addEventListener("drop", async (event) => {
    if (!event.dataTransfer?.files?.length) return;
    event.preventDefault();
    const { files, name } = await dropped(event.dataTransfer);
    take(files, name);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files || [])].find((f) => f.type.startsWith("image/"));
    if (file && hub.entry === "photo") take([file]);
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
        take([new File([await answer.blob()], entry.name)]);
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
