// Several pictures, or a folder of them, as one ZIP; and the first picture of a ZIP, to show what was taken.
const KEPT = /\.(png|webp|jpe?g|json)$/i; // what a set of views is made of
const FRONT = /(^|\/)(colou?r|rgb)s?_(0|front)[^/]*$|az(imuth)?[_-]?0*(\.0+)?\.[a-z]+$/i; // names of a front view

// What was dropped or chosen belongs to a set of views: a ZIP, a folder, or more than one picture.
export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";

// The files of a drop, those of folders as well.
export async function dropped(transfer) {
  const entries = [...(transfer.items || [])].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const folder = entries.find((entry) => entry.isDirectory);
  if (!folder) return { files: [...transfer.files], name: "" };
  const found = await Promise.all(entries.map(filesOf));
  return { files: found.flat(), name: folder.name };
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((done, fail) => entry.file(done, fail))];
  const reader = entry.createReader(), all = [];
  for (;;) {
    const some = await new Promise((done, fail) => reader.readEntries(done, fail)); // a hundred at a time
    if (!some.length) break;
    all.push(...some);
  }
  return (await Promise.all(all.filter((inner) => inner.isFile).map(filesOf))).flat(); // the views lie in one folder
}

export const viewsAmong = (files) => files.filter((file) => KEPT.test(file.name) && !file.name.startsWith("."));
const front = (names) => names.find((name) => FRONT.test(name)) || names.find((name) => !/\.json$/i.test(name) && !/(^|\/)normals?_/i.test(name));

// A ZIP of the files, not compressed: pictures are already.
export async function bundle(files, name) {
  const parts = [], directory = [];
  let offset = 0, length = 0;
  for (const file of files) {
    const data = new Uint8Array(await file.arrayBuffer()), title = new TextEncoder().encode(file.name);
    const shared = [20, 0x800, 0, 0, 0x21]; // version, names in UTF-8, stored, and the first date there is
    const facts = (view, at) => {
      shared.forEach((value, k) => view.setUint16(at + 2 * k, value, true));
      view.setUint32(at + 10, crc(data), true);
      view.setUint32(at + 14, data.length, true);
      view.setUint32(at + 18, data.length, true);
      view.setUint16(at + 22, title.length, true);
    };
    const head = new DataView(new ArrayBuffer(30)), entry = new DataView(new ArrayBuffer(46));
    head.setUint32(0, 0x04034b50, true);
    facts(head, 4);
    entry.setUint32(0, 0x02014b50, true);
    entry.setUint16(4, 20, true);
    facts(entry, 6);
    entry.setUint32(42, offset, true);
    parts.push(head.buffer, title, data);
    directory.push(entry.buffer, title);
    offset += 30 + title.length + data.length;
    length += 46 + title.length;
  }
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, length, true);
  end.setUint32(16, offset, true);
  return new File([...parts, ...directory, end.buffer], `${name || "views"}.zip`, { type: "application/zip" });
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});
function crc(data) {
  let value = 0xffffffff;
  for (const byte of data) value = (value >>> 8) ^ TABLE[(value ^ byte) & 255];
  return (value ^ 0xffffffff) >>> 0;
}

// How many pictures a ZIP holds, and its front view (else its first picture) as a blob; null where it cannot be read:
// then the server says what is wrong with it.
export async function glimpse(zip) {
  try {
    const tail = new DataView(await zip.slice(Math.max(0, zip.size - 66000)).arrayBuffer());
    let at = tail.byteLength - 22;
    while (at >= 0 && tail.getUint32(at, true) !== 0x06054b50) at--;
    const count = tail.getUint16(at + 10, true), start = tail.getUint32(at + 16, true);
    const list = new DataView(await zip.slice(start, start + tail.getUint32(at + 12, true)).arrayBuffer());
    const members = new Map();
    for (let k = 0, place = 0; k < count; k++) {
      const [title, extra, comment] = [28, 30, 32].map((o) => list.getUint16(place + o, true));
      const name = new TextDecoder().decode(new Uint8Array(list.buffer, place + 46, title));
      const base = name.split("/").pop();
      if (KEPT.test(base) && !base.startsWith(".")) members.set(name, { way: list.getUint16(place + 10, true), size: list.getUint32(place + 20, true), from: list.getUint32(place + 42, true) });
      place += 46 + title + extra + comment;
    }
    const pictures = [...members.keys()].filter((name) => !/\.json$/i.test(name));
    const { way, size, from } = members.get(front([...members.keys()]));
    const head = new DataView(await zip.slice(from, from + 30).arrayBuffer());
    const data = zip.slice(from + 30 + head.getUint16(26, true) + head.getUint16(28, true)).slice(0, size);
    const open = way === 8 ? await new Response(data.stream().pipeThrough(new DecompressionStream("deflate-raw"))).blob() : data;
    return { pictures: pictures.length, front: open };
  } catch {
    return null;
  }
}
