// Painting the cut-out: add to the person, take away, undo. What is painted shows at once; the strokes go to the server.
import { act, address, changed, hub, make } from "./hub.js";

const LONGER = 1024; // of the canvas that one paints on, whatever the photo's size
const PAINT = { add: "#12a05c", remove: "#d63a2f" }; // ui/edit_matte.py tells them apart by red and green
const layer = (like) => Object.assign(document.createElement("canvas"), { width: like.width, height: like.height });

export function paint(box) {
  const canvas = make("canvas", { class: "hs-paint", tabindex: "0", role: "img", "aria-label": "The photo, to paint the cut-out on" });
  const add = make("button", { type: "button", "aria-pressed": "true", title: "This is the person (A)" }, "Add");
  const remove = make("button", { type: "button", "aria-pressed": "false", title: "This is not the person (R)" }, "Remove");
  const size = make("input", { type: "range", min: "1", max: "20", step: "0.5", value: "5", "aria-label": "Brush size" });
  const undo = make("button", { type: "button", class: "hs-plain", disabled: true, title: "Take back the last stroke (Ctrl Z)" }, "Undo");
  const apply = make("button", { type: "button", class: "hs-strong", disabled: true }, "Apply and go on");
  const leave = make("button", { type: "button", class: "hs-plain" }, "Leave as it was");
  box.append(canvas, make("div", { class: "hs-wipe-bar" }, make("div", { class: "hs-switch", role: "group", "aria-label": "Brush" }, add, remove),
    make("label", { class: "hs-brush-size" }, "Size", size), undo, make("span", { class: "hs-gap" }), leave, apply));
  let photo = null, cutout = null, shown = "", owner = "", mode = "add", strokes = [], now = null, pointer = null;

  const choose = (value) => {
    mode = value;
    add.setAttribute("aria-pressed", mode === "add" ? "true" : "false");
    remove.setAttribute("aria-pressed", mode === "remove" ? "true" : "false");
  };
  const radius = () => (Number(size.value) / 200) * Math.max(canvas.width, canvas.height);

  function trace(paper, stroke) {
    paper.lineWidth = 2 * stroke.radius;
    paper.lineCap = paper.lineJoin = "round";
    paper.beginPath();
    stroke.points.forEach(([x, y], i) => (i ? paper.lineTo(x, y) : paper.moveTo(x, y)));
    paper.lineTo(...stroke.points.at(-1)); // a single dot is a line, too
    paper.stroke();
  }

  // The strokes as the server takes them: opaque green and red on nothing.
  function painted() {
    const paper = layer(canvas).getContext("2d");
    for (const stroke of strokes) {
      paper.strokeStyle = PAINT[stroke.mode];
      trace(paper, stroke);
    }
    return paper.canvas;
  }

  function draw() {
    if (!photo || !cutout) return;
    const all = now ? [...strokes, now] : strokes;
    const veil = layer(canvas).getContext("2d");
    const mask = layer(canvas).getContext("2d");
    mask.drawImage(cutout, 0, 0, canvas.width, canvas.height);
    for (const stroke of all) {
      mask.globalCompositeOperation = stroke.mode === "add" ? "source-over" : "destination-out";
      trace(mask, stroke);
    }
    veil.fillStyle = document.body.classList.contains("dark") ? "rgb(12 13 15 / 82%)" : "rgb(240 237 231 / 84%)";
    veil.fillRect(0, 0, canvas.width, canvas.height);
    veil.globalCompositeOperation = "destination-out";
    veil.drawImage(mask.canvas, 0, 0);
    const paper = canvas.getContext("2d");
    paper.clearRect(0, 0, canvas.width, canvas.height);
    paper.drawImage(photo, 0, 0, canvas.width, canvas.height);
    paper.drawImage(veil.canvas, 0, 0);
    paper.globalAlpha = 0.3;
    for (const stroke of all) {
      paper.strokeStyle = PAINT[stroke.mode];
      trace(paper, stroke);
    }
    paper.globalAlpha = 1;
    if (pointer) {
      paper.beginPath();
      paper.arc(...pointer, radius(), 0, 2 * Math.PI);
      paper.lineWidth = Math.max(canvas.width, canvas.height) / 400;
      paper.strokeStyle = PAINT[mode];
      paper.stroke();
    }
    canvas.dataset.strokes = strokes.length;
    undo.disabled = !strokes.length;
    apply.disabled = !strokes.length || hub.view.busy;
  }

  // Where an event is, in pixels of the canvas, which is fitted into its element.
  function place(event) {
    const frame = canvas.getBoundingClientRect();
    const scale = Math.min(frame.width / canvas.width, frame.height / canvas.height);
    return [(event.clientX - frame.left - (frame.width - scale * canvas.width) / 2) / scale, (event.clientY - frame.top - (frame.height - scale * canvas.height) / 2) / scale];
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !photo) return;
    event.preventDefault();
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    pointer = place(event);
    now = { mode, radius: radius(), points: [pointer] };
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    pointer = place(event);
    if (now) now.points.push(pointer);
    draw();
  });
  const end = () => {
    if (now) strokes = [...strokes, now];
    now = null;
    draw();
  };
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, end);
  canvas.addEventListener("pointerleave", () => {
    pointer = null;
    draw();
  });
  const back = () => {
    strokes = strokes.slice(0, -1);
    draw();
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "a") choose("add");
    else if (event.key === "r") choose("remove");
    else if (event.key === "[") size.stepDown();
    else if (event.key === "]") size.stepUp();
    else if (event.key === "z" && (event.ctrlKey || event.metaKey)) back();
    else return;
    event.preventDefault();
    draw();
  });
  add.addEventListener("click", () => choose("add"));
  remove.addEventListener("click", () => choose("remove"));
  undo.addEventListener("click", back);
  const close = () => {
    strokes = [];
    hub.wanted.cutout = "cutout";
    changed();
  };
  leave.addEventListener("click", close);
  apply.addEventListener("click", () => {
    act("matte", { step: owner, strokes: painted().toDataURL("image/png") });
    close();
  });
  window.addEventListener("hs-theme", draw);

  return {
    async show(plate, step) {
      owner = step.name;
      const key = `${plate.photo} ${plate.cutout}`;
      if (shown === key) return draw();
      shown = key;
      strokes = [];
      photo = cutout = null;
      const [under, over] = await Promise.all([plate.photo, plate.cutout].map(load));
      if (shown !== key) return;
      const scale = LONGER / Math.max(under.naturalWidth, under.naturalHeight);
      [canvas.width, canvas.height] = [Math.round(under.naturalWidth * scale), Math.round(under.naturalHeight * scale)];
      [photo, cutout] = [under, over];
      canvas.dataset.frame = key;
      draw();
    },
  };
}

async function load(path) {
  const image = new Image();
  image.src = address(path);
  await image.decode();
  return image;
}
