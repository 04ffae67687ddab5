// Pictures with names in a grid, cut from one sheet; one of them large, to look at closely or to replace.
// A pixel under the pointer is drawn as its line of sight in all the other pictures.
import { act, address, hub, make, say } from "./hub.js";

const COLUMNS = 6; // of a sheet
const LEAST = 160; // px of a picture, below which they rather scroll
const MAKING = "Making the pictures…";
const HINT = "Point at a picture: the same place lies on the line in the others.";
const NS = "http://www.w3.org/2000/svg";

export function grid(box) {
  const list = make("ul", { class: "hs-grid-cells" });
  const large = make("div", { class: "hs-grid-large", hidden: true });
  const which = make("div", { class: "hs-switch", role: "group", "aria-label": "What is shown" });
  const raw = make("button", { type: "button", class: "hs-plain", "aria-pressed": "false", hidden: true, title: "Some generators store views mirrored; here they are turned back" }, "As delivered");
  const back = make("button", { type: "button", class: "hs-plain", hidden: true }, "Back to all views");
  const words = make("span", { class: "hs-soft hs-grid-words" });
  const legend = make("ul", { class: "hs-legend hs-legend-row", hidden: true, "aria-label": "Colours" });
  const file = make("input", { type: "file", accept: "image/png,image/webp,image/jpeg", class: "hs-hidden-input", "aria-label": "Picture to put in this view's place", id: "hs-view-file", tabindex: "-1" });
  const bar = make("div", { class: "hs-wipe-bar" }, back, which, raw, words, legend, file);
  box.append(list, large, bar);
  new ResizeObserver(() => data && arrange()).observe(box);
  let plate = null, data = null, sheet = 0, mirrored = false, open = -1, sent = "", wanted = null, drawnPick;

  const told = () => (data.cameras ? HINT : data.words || "");

  function drawCells() {
    const rows = Math.ceil(data.cells.length / COLUMNS);
    list.replaceChildren(...data.cells.map((cell, i) => {
      const picture = make("span", { class: "hs-cell-picture", role: "img", "aria-label": `${cell.label}, ${cell.note}` });
      picture.style.backgroundImage = `url("${address(plate.sheets[sheet][1])}")`;
      picture.style.backgroundSize = `${COLUMNS * 100}% ${rows * 100}%`;
      picture.style.backgroundPosition = `${(i % COLUMNS) * 20}% ${rows > 1 ? (Math.floor(i / COLUMNS) / (rows - 1)) * 100 : 0}%`;
      picture.classList.toggle("hs-mirrored", mirrored && Boolean(cell.mirrored) && sheet === 0);
      const line = document.createElementNS(NS, "svg");
      line.setAttribute("viewBox", "0 0 100 100");
      line.setAttribute("aria-hidden", "true");
      const picked = plate.pick && Number(hub.view.settings?.[plate.pick.step]?.[plate.pick.knob] ?? 1) === i + 1;
      const marks = [picked && "picked", cell.photo && "photo", cell.by_hand && "by hand", cell.worst && "does not fit"].filter(Boolean);
      const name = make("span", { class: "hs-cell-name" }, make("b", {}, cell.label), make("span", {}, cell.note),
        cell.place && make("span", {}, cell.place), marks.length ? make("span", { class: "hs-badge", "data-kind": cell.worst || cell.by_hand ? "hand" : null }, marks.join(", ")) : null);
      const frame = make("span", { class: "hs-cell-frame" }, picture, line);
      const entry = make("li", { "data-worst": cell.worst ? "yes" : null });
      const inner = plate.one ? make("button", { type: "button", "aria-label": `Open ${cell.label}` }, frame, name) : make("div", {}, frame, name);
      if (plate.one) inner.addEventListener("click", () => show(i));
      if (plate.pick && !picked && !hub.view.busy && !hub.view.guest) {
        const { step, knob } = plate.pick;
        const pick = () => act("run_from", { step, settings: { ...hub.draft, [step]: { ...hub.draft[step], [knob]: i + 1 } } });
        inner.append(make("button", { type: "button", class: "hs-plain hs-pick", "aria-label": `Pick ${cell.label}`, onclick: pick }, "Pick this one"));
      }
      if (data.cameras) {
        frame.addEventListener("pointermove", (event) => sight(i, frame, event));
        frame.addEventListener("pointerleave", () => clear());
      }
      entry.append(inner);
      return entry;
    }));
    arrange();
    const preload = new Image();
    const src = address(plate.sheets[sheet][1]);
    const shown = () => plate && address(plate.sheets[sheet][1]) === src;
    preload.onload = () => {
      if (!shown()) return;
      box.dataset.ready = src;
      if (words.textContent === MAKING) words.textContent = open < 0 ? told() : "";
    };
    preload.onerror = () => shown() && (words.textContent = "These pictures could not be made.");
    if (box.dataset.ready !== src) words.textContent = MAKING;
    preload.src = src;
  }

  // As many columns as make the pictures largest while all of them are in sight; many pictures keep the usual width.
  function arrange() {
    const gap = 10, pad = 24, frame = list.querySelector(".hs-cell-frame");
    if (list.hidden || !frame || !list.clientHeight) return;
    const under = Math.max(...[...list.children].map((entry) => entry.firstChild.offsetHeight)) - frame.offsetHeight; // words
    let best = 0, columns = 0;
    for (let count = 1; count <= data.cells.length; count++) {
      const side = Math.min((list.clientWidth - pad - gap * (count - 1)) / count, (list.clientHeight - pad + gap) / Math.ceil(data.cells.length / count) - gap - under);
      if (side > best + 1) [best, columns] = [side, count];
    }
    const wide = best > LEAST; // else they are as the style sheet says, and scroll
    list.style.gridTemplateColumns = wide ? `repeat(${columns}, ${Math.floor(best)}px)` : "";
    list.style.justifyContent = wide ? "center" : "";
  }

  // The square cell holds the whole picture in its middle.
  const fit = (cell) => Math.max(cell.wide, cell.high);
  const inCell = (cell, [x, y]) => [50 + ((x - cell.wide / 2) / fit(cell)) * 100, 50 + ((y - cell.high / 2) / fit(cell)) * 100];

  function sight(i, frame, event) {
    const area = frame.getBoundingClientRect(), cell = data.cells[i];
    const at = [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
    const pixel = [cell.wide / 2 + (at[0] - 0.5) * fit(cell), cell.high / 2 + (at[1] - 0.5) * fit(cell)];
    const ends = rayOf(data.cameras[i], pixel, data.height);
    [...list.querySelectorAll(".hs-cell-frame > svg")].forEach((drawing, k) => {
      const other = data.cells[k];
      const part = document.createElementNS(NS, k === i ? "circle" : "line");
      if (k === i) {
        const [x, y] = inCell(cell, pixel);
        for (const [name, value] of Object.entries({ cx: x, cy: y, r: 1.6 })) part.setAttribute(name, value);
      } else {
        const [a, b] = ends.map((p) => inCell(other, project(data.cameras[k], p)));
        for (const [name, value] of Object.entries({ x1: a[0], y1: a[1], x2: b[0], y2: b[1] })) part.setAttribute(name, value);
      }
      drawing.replaceChildren(part);
    });
  }
  const clear = () => list.querySelectorAll(".hs-cell-frame > svg").forEach((drawing) => drawing.replaceChildren());

  function show(i) {
    open = i;
    list.hidden = i >= 0;
    large.hidden = i < 0;
    back.hidden = i < 0;
    which.hidden = i >= 0 || plate.sheets.length < 2;
    raw.hidden = i >= 0 || !data.cells.some((c) => c.mirrored);
    words.textContent = i < 0 ? told() : "";
    if (i < 0) {
      arrange();
      return large.replaceChildren();
    }
    const cell = data.cells[i];
    const source = (part) => address(plate.one.replace("{part}", part).replace("{number}", String(i).padStart(3, "0")));
    const half = (part, title) => make("figure", {}, make("img", { src: source(part), alt: `${title} of ${cell.label}` }),
      make("figcaption", {}, title, editable() ? make("button", { type: "button", class: "hs-plain", onclick: () => choose(i, part) }, `Replace the ${part === "colour" ? "picture" : "normals"}`) : null));
    large.replaceChildren(make("h3", {}, cell.label, make("span", { class: "hs-soft" }, ` ${cell.note}`)),
      make("div", { class: "hs-grid-pair" }, half("colour", "Colours"), cell.normal ? half("normal", "Normals") : null),
      editable() ? make("div", { class: "hs-row" }, plate.drop ? make("button", { type: "button", class: "hs-plain", onclick: () => send(i, "drop") }, "Leave this view out") : null,
        make("span", { class: "hs-soft" }, plate.hint || "All later steps are made anew.")) : null);
    back.focus();
  }
  const editable = () => plate.edit && !hub.view.busy && !hub.view.guest;

  function choose(i, part) {
    wanted = [i, part];
    file.value = "";
    file.click();
  }
  file.addEventListener("change", async () => {
    const picked = file.files[0];
    if (!picked || !wanted) return;
    words.textContent = "Sending…";
    try {
      const query = new URLSearchParams({ name: picked.name || "view" });
      const answer = await fetch(address(`photo/${hub.visitor}?${query}`), { method: "POST", body: picked });
      const facts = await answer.json();
      if (!answer.ok) throw new Error(facts.detail);
      send(...wanted, facts.upload);
    } catch (error) {
      say(error.message || "The picture could not be sent; try again.", "error");
    } finally {
      words.textContent = "";
    }
  });
  function send(index, part, upload) {
    // The same wish again within a moment is a double click; any other wish is one of its own.
    const wish = JSON.stringify([plate.data, index, part, upload]);
    if (wish === sent) return;
    sent = wish;
    setTimeout(() => sent === wish && (sent = ""), 1500);
    act("view", { step: hub.selected, index, part, upload });
  }

  back.addEventListener("click", () => show(-1));
  raw.addEventListener("click", () => {
    mirrored = !mirrored;
    raw.setAttribute("aria-pressed", mirrored ? "true" : "false");
    drawCells();
  });

  return {
    async show(next) {
      const picked = next.pick && `${hub.view.settings?.[next.pick.step]?.[next.pick.knob]} ${hub.view.busy}`;
      if (plate && plate.data === next.data && picked === drawnPick) return;
      drawnPick = picked;
      plate = next;
      data = null;
      sheet = 0;
      delete box.dataset.ready;
      list.replaceChildren();
      [open, large.hidden, back.hidden, list.hidden] = [-1, true, true, false]; // a view from before may be another one now
      words.textContent = "Reading the views…";
      const answer = await fetch(address(plate.data)).catch(() => null);
      if (plate !== next) return;
      if (!answer?.ok) {
        const facts = await answer?.json().catch(() => null);
        words.textContent = facts?.detail || "These pictures could not be made.";
        plate = null;
        return;
      }
      data = await answer.json();
      if (plate !== next) return;
      if (!data.cells.some((c) => c.normal)) next.sheets = next.sheets.slice(0, 1);
      which.replaceChildren(...next.sheets.map(([label], k) => make("button", { type: "button", "aria-pressed": k ? "false" : "true", onclick: () => {
        sheet = k;
        [...which.children].forEach((b, j) => b.setAttribute("aria-pressed", j === k ? "true" : "false"));
        drawCells();
      } }, label)));
      legend.hidden = !plate.legend;
      legend.replaceChildren(...(plate.legend || []).map(([name, label]) => make("li", { "data-mark": name }, label)));
      show(-1);
      drawCells();
    },
  };
}

// Two points on the line of sight of a pixel, before and behind the person.
function rayOf(camera, [u, v], height) {
  const m = camera.matrix;
  const world = (x, y, z) => [0, 1, 2].map((k) => m[0][k] * (x - m[0][3]) + m[1][k] * (y - m[1][3]) + m[2][k] * (z - m[2][3]));
  // Depth of the person's middle, on the vertical axis at half the height.
  const depth = m[2][1] * (height / 2) + m[2][3];
  return [depth - height, depth + height].map((z) => {
    if (camera.scale) return world((u - camera.centre[0]) / camera.scale, (v - camera.centre[1]) / camera.scale, z);
    const [K, near] = [camera.K, Math.max(z, 0.05)];
    return world(((u - K[0][2]) / K[0][0]) * near, ((v - K[1][2]) / K[1][1]) * near, near);
  });
}

function project(camera, p) {
  const [x, y, z] = camera.matrix.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]);
  if (camera.scale) return [x * camera.scale + camera.centre[0], y * camera.scale + camera.centre[1]];
  const [K, deep] = [camera.K, Math.max(z, 1e-3)];
  return [(x / deep) * K[0][0] + K[0][2], (y / deep) * K[1][1] + K[1][2]];
}
