// A solid: recorded 3D scene in viser's player, or turned frames where WebGL is missing, slow, or not wanted.
import { address, calm, hub, make, size } from "./hub.js";

const COLUMNS = 6; // every sheet has six square frames in a row

export function webgl() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return "none";
  const facts = gl.getExtension("WEBGL_debug_renderer_info");
  const name = facts ? gl.getParameter(facts.UNMASKED_RENDERER_WEBGL) : "";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(name) ? "software" : "hardware";
}

export function solid(box, tools, props) {
  const power = webgl();
  const wants3d = power === "hardware" && innerWidth >= 700;
  let mode = null; // "3d" or "frames", once the visitor has chosen
  let given = null, plate = null, shownScene = "", preparing = "";
  const laid = new Set(); // labels of what is laid over solids that have it

  const canvas = make("canvas", { class: "hs-turn", role: "slider", tabindex: "0", "aria-label": "Turn the person", "aria-valuemin": "0", "aria-valuemax": "359" });
  const poster = make("img", { class: "hs-poster", alt: "The person from the front" }); // until all frames are there
  const frame = make("iframe", { class: "hs-3d", title: "The reconstruction in 3D", hidden: true, allow: "fullscreen" });
  const note = make("p", { class: "hs-note", hidden: true, role: "status" });
  const load = make("button", { type: "button", class: "hs-load", hidden: true }, "Load 3D");
  const legend = make("ul", { class: "hs-legend", hidden: true, "aria-label": "Colours" });
  for (const [name, label] of props?.legend || []) legend.append(make("li", { "data-seen": name }, label));
  box.append(canvas, frame, note, load, legend);
  const turn = turner(canvas, (words) => tell(words));
  const in3d = make("button", { type: "button", class: "hs-tool" }, "3D");
  const flat = make("button", { type: "button", class: "hs-tool" }, "Frames");
  const spin = make("button", { type: "button", class: "hs-tool" }, "Spin");
  const over = make("button", { type: "button", class: "hs-tool hs-over-tool", hidden: true });
  tools.append(over, in3d, flat, spin);
  in3d.disabled = power === "none";
  in3d.title = power === "none" ? "3D is off in this browser" : "Recorded 3D scene";
  const choose = (value) => {
    mode = value;
    draw();
  };
  in3d.addEventListener("click", () => choose("3d"));
  flat.addEventListener("click", () => choose("frames"));
  load.addEventListener("click", () => choose("3d"));
  over.addEventListener("click", () => {
    if (!laid.delete(given.over.label)) laid.add(given.over.label);
    put();
  });
  spin.addEventListener("click", () => turn.spin(!turn.spinning()));
  turn.onspin = () => spin.setAttribute("aria-pressed", turn.spinning() ? "true" : "false");
  // A focused player swallows the page's keys; the pointer's leaving gives them back.
  frame.addEventListener("mouseleave", () => document.activeElement === frame && (frame.blur(), window.focus()));
  window.addEventListener("hs-theme", () => (shownScene = ""));

  function tell(words) {
    const shown = words || (power === "none" ? "3D is off in this browser; drag to turn the picture." : "");
    note.hidden = !shown;
    note.textContent = shown;
  }

  function draw() {
    const chosen = mode || (wants3d && hub.view.mine ? "3d" : "frames");
    const use3d = chosen === "3d" && power !== "none" && Boolean(plate.scene);
    in3d.setAttribute("aria-pressed", use3d ? "true" : "false");
    flat.setAttribute("aria-pressed", use3d ? "false" : "true");
    spin.hidden = use3d;
    in3d.hidden = !plate.scene;
    canvas.hidden = use3d && shownScene === plate.scene;
    frame.hidden = !(use3d && shownScene === plate.scene);
    legend.hidden = !plate.legend;
    load.hidden = use3d || power === "none" || wants3d || !plate.scene;
    // Another step's poster is worth asking for only where it has just been on the stage.
    const still = plate.poster && (!plate.borrowed || hub.view.mine) ? address(plate.poster) : "";
    if (!still) poster.remove();
    else if (poster.src !== still) poster.src = still;
    if (still && !poster.isConnected) canvas.after(poster);
    if (!canvas.hidden) turn.show(plate.frames);
    else turn.rest();
    if (use3d) open();
    else if (!load.hidden) weigh();
  }

  // The same solid, with what is laid over it or without.
  function put() {
    const on = laid.has(given.over?.label), next = on ? { ...given, ...given.over, poster: "" } : given;
    const same = plate && plate.frames === next.frames && plate.scene === next.scene && plate.id === next.id;
    plate = next;
    over.hidden = !given.over;
    over.textContent = given.over?.label || "";
    over.title = given.over ? `${given.over.label} with it` : "";
    over.setAttribute("aria-pressed", on ? "true" : "false");
    if (!same) tell("");
    draw();
  }

  async function weigh() {
    const facts = await prepare(plate.scene);
    if (facts && !load.hidden) load.textContent = `Load 3D (${size(facts.bytes)})`;
  }

  async function open() {
    const scene = plate.scene;
    if (shownScene === scene || preparing === scene) return;
    preparing = scene;
    tell("Preparing the 3D scene…");
    const facts = await prepare(scene);
    preparing = "";
    if (plate.scene !== scene) return;
    if (!facts) return tell("The 3D scene could not be made; the frames show the same.");
    tell("");
    const query = new URLSearchParams({ playbackPath: `../${scene}`, });
    if (document.body.classList.contains("dark")) query.set("darkMode", "");
    // Only the address changes; the frame itself stays.
    frame.src = address(`play/?${query}&hideViserLogo`);
    shownScene = scene;
    draw();
  }

  return {
    show(next) {
      given = next;
      put();
    },
    hide() {
      turn.rest();
    },
  };
}

const known = new Map();
function prepare(scene) {
  if (!known.has(scene)) {
    const asked = fetch(address(`${scene}&prepare=1`)).then((a) => (a.ok ? a.json() : null), () => null);
    known.set(scene, asked);
    asked.then((facts) => facts || known.delete(scene));
  }
  return known.get(scene);
}

// The frame of a sheet that is nearest to an angle (degrees), as large as fits into the canvas.
export function drawFrame(paper, sheet, angle) {
  const { width: wide, height: high } = paper.canvas, to = Math.min(wide, high);
  const side = sheet.naturalWidth / COLUMNS;
  const count = COLUMNS * Math.round(sheet.naturalHeight / side);
  const index = Math.round((angle / 360) * count) % count;
  paper.imageSmoothingQuality = "high";
  paper.drawImage(sheet, (index % COLUMNS) * side, Math.floor(index / COLUMNS) * side, side, side, (wide - to) / 2, (high - to) / 2, to, to);
}

// Draws one of the sheet's frames; drag, arrow keys and spinning choose which.
function turner(canvas, tell) {
  const sheet = new Image();
  let source = "", ready = false, broken = false, angle = 0, spinning = false, last = 0, request = 0;
  const self = { onspin: () => {}, show, rest, spin, spinning: () => spinning };
  let wish = !calm.matches;

  function show(src) {
    if (source !== src) {
      source = src;
      ready = broken = false;
      canvas.setAttribute("aria-busy", "true");
      const waiting = setTimeout(() => source === src && !ready && tell("Turning the person once…"), 600);
      const picture = new Image();
      picture.onload = () => {
        clearTimeout(waiting);
        if (source !== src) return;
        sheet.src = picture.src;
        sheet.decode().catch(() => {}).then(() => {
          if (source !== src) return;
          ready = true;
          canvas.removeAttribute("aria-busy");
          canvas.dataset.ready = src;
          tell("");
          paint();
          if (wish) spin(true);
        });
      };
      picture.onerror = () => {
        clearTimeout(waiting);
        if (source !== src) return;
        broken = true;
        tell("These pictures could not be made.");
      };
      picture.src = address(src);
    } else if (ready && wish && !spinning) spin(true);
  }

  window.addEventListener("hs-regained", () => broken && (source = ""));

  function rest() {
    cancelAnimationFrame(request);
    spinning = false;
    self.onspin();
  }

  function spin(on) {
    wish = on;
    spinning = on && ready;
    cancelAnimationFrame(request);
    last = 0;
    if (spinning) request = requestAnimationFrame(tick);
    self.onspin();
  }

  function tick(time) {
    if (!spinning) return;
    if (last) angle += ((time - last) / 12000) * 360; // one turn in twelve seconds
    last = time;
    paint();
    request = requestAnimationFrame(tick);
  }

  let painted = "";
  function paint() {
    if (!ready) return;
    const side = sheet.naturalWidth / COLUMNS;
    const count = COLUMNS * Math.round(sheet.naturalHeight / side);
    angle = ((angle % 360) + 360) % 360;
    const index = Math.round((angle / 360) * count) % count;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const wide = Math.round(canvas.clientWidth * ratio), high = Math.round(canvas.clientHeight * ratio);
    const key = `${source} ${index} ${wide} ${high}`;
    if (key === painted || !wide) return;
    painted = key;
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const paper = canvas.getContext("2d");
    paper.clearRect(0, 0, wide, high);
    drawFrame(paper, sheet, angle);
    canvas.dataset.frame = index;
    canvas.setAttribute("aria-valuenow", Math.round(angle));
    canvas.setAttribute("aria-valuetext", `${Math.round(angle)} degrees`);
  }

  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, angle };
    canvas.setPointerCapture(event.pointerId);
    spin(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    angle = from.angle - (event.clientX - from.x) * 0.6;
    paint();
  });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => (from = null));
  canvas.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 10, ArrowLeft: -10, PageUp: 45, PageDown: -45 }[event.key];
    if (event.key === " ") spin(!spinning);
    else if (event.key === "Home") angle = 0;
    else if (by === undefined) return;
    event.preventDefault();
    if (event.key !== " ") spin(false);
    angle += by || 0;
    paint();
  });
  new ResizeObserver(() => paint()).observe(canvas);
  return self;
}
