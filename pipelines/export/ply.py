"""PLY with the columns of 3D Gaussian splatting, the format that most splat programs read.

Source: Kerbl et al. 2023, "3D Gaussian Splatting for Real-Time Radiance Field Rendering", `save_ply`: x y z,
nx ny nz (zero), f_dc_0..2 (spherical harmonics of degree 0), opacity (logit), scale_0..2 (natural logarithm
of the standard deviation), rot_0..3 (quaternion wxyz), all float32, binary little endian. Two uchar columns
of ours follow, `seen` and `origin`, with the names of their codes in comment lines.
Frame: `bundle.FRAME`, said in a comment line. Programs that expect COLMAP's axes (y down) show it upside down
until they are told to flip y.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import FRAME, Bundle, need, words
from pipelines.export.finite import finite_splats, left_out
from pipelines.records import GENERATED, ORIGIN_NAMES, SEEN_NAMES, Splats
from pipelines.step import UserError

SH_0 = 0.28209479177387814  # 1 / (2 sqrt(pi)): the constant spherical harmonic; colour = 0.5 + SH_0 * f_dc
EDGE = 1e-6  # opacities are kept this far from 0 and 1, where the logit is infinite
MOST = 20_000_000  # splats that a file may announce

COLUMNS = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip


def write(bundle: Bundle, path: Path) -> str:
    """Write the splats; returns one sentence."""
    splats, dropped = finite_splats(need(bundle, "splats"))
    Path(path).write_bytes(to_bytes(splats, words(bundle)))
    return f"Wrote {len(splats):,} splats with 3D Gaussian splatting's columns{left_out(dropped, 'splats')}."


def to_bytes(splats: Splats, about: str = FRAME) -> bytes:
    """Finite splats -> the whole file. about: one line of words for its header."""
    n = len(splats)
    fields = [(c, "<f4") for c in COLUMNS] + [("seen", "u1"), ("origin", "u1")]
    rows = np.zeros(n, np.dtype(fields))
    opacity = np.clip(splats.opacities.astype(np.float64), EDGE, 1 - EDGE)
    rows["opacity"] = np.log(opacity / (1 - opacity))
    quats = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    for i in range(3):
        rows["xyz"[i]] = splats.means[:, i]
        rows[f"f_dc_{i}"] = (splats.colours[:, i].astype(np.float64) - 0.5) / SH_0
        rows[f"scale_{i}"] = np.log(splats.scales[:, i].astype(np.float64))
    for i in range(4):
        rows[f"rot_{i}"] = quats[:, i]
    rows["seen"], rows["origin"] = splats.seen, splats.origin
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment Humanscope splats. {about}",
        "comment seen: " + ", ".join(f"{i} {name}" for i, name in enumerate(SEEN_NAMES)),
        "comment origin: " + ", ".join(f"{i} {name}" for i, name in enumerate(ORIGIN_NAMES)),
        f"element vertex {n}",
        *(f"property float {c}" for c in COLUMNS),
        "property uchar seen",
        "property uchar origin",
        "end_header",
    ]
    return ("\n".join(header) + "\n").encode("ascii") + rows.tobytes()


def read(path: Path) -> Splats:
    """A PLY of ours, or of any 3D Gaussian splatting program -> Splats, in the file's own frame.

    Of higher spherical harmonics (f_rest_*) only the constant colour is kept, clipped to 0..1. Without the
    columns `seen` and `origin` the splats count as generated and imported. Rows that are not finite are left
    out. UserError says what a file lacks.
    """
    rows = _vertices(Path(path))
    wanted = [c for c in COLUMNS if not c.startswith("n")]
    missing = [c for c in wanted if c not in rows]
    if missing:
        raise UserError(
            f"{Path(path).name} lacks the columns {', '.join(missing)}; it needs all columns of 3D Gaussian splatting."
        )

    def stack(*names: str) -> NDArray[np.float64]:
        return np.stack([rows[name].astype(np.float64) for name in names], axis=1)

    n = len(rows["x"])
    with np.errstate(over="ignore", invalid="ignore"):
        logit = rows["opacity"].astype(np.float64)
        quats = stack("rot_0", "rot_1", "rot_2", "rot_3")
        length = np.linalg.norm(quats, axis=1, keepdims=True)
        splats = Splats(
            means=stack("x", "y", "z").astype(np.float32),
            quats=np.divide(quats, length, out=np.zeros_like(quats), where=length > 0).astype(np.float32),
            scales=np.exp(stack("scale_0", "scale_1", "scale_2")).astype(np.float32),
            opacities=(0.5 * (1 + np.tanh(0.5 * logit))).astype(np.float32),
            colours=np.clip(0.5 + SH_0 * stack("f_dc_0", "f_dc_1", "f_dc_2"), 0, 1).astype(np.float32),
            seen=_codes(rows, "seen", len(SEEN_NAMES), GENERATED, n),
            origin=_codes(rows, "origin", len(ORIGIN_NAMES), ORIGIN_NAMES.index("imported"), n),
        )
    return finite_splats(splats)[0]


def _codes(rows: dict[str, NDArray], name: str, count: int, default: int, n: int) -> NDArray[np.uint8]:
    """A column of codes; another program's column of that name with other values does not count."""
    codes = rows.get(name)
    if codes is None or codes.dtype != np.uint8 or (n and codes.max() >= count):
        return np.full(n, default, np.uint8)
    return codes.copy()


def _vertices(path: Path) -> dict[str, NDArray]:
    """The columns of the element `vertex`: scalar properties, binary or ASCII."""
    data = path.read_bytes()
    head, found, body = data[: 1 << 16].partition(b"end_header")
    start = len(head) + len(b"end_header") + (2 if body[:2] == b"\r\n" else 1)
    if not data.startswith(b"ply") or not found:
        raise UserError(f"{path.name} is not a PLY file; it needs to start with 'ply' and a header.")
    kind, elements = _header(head.decode("ascii", "replace"), path.name)
    before = 0
    for name, count, fields in elements:
        order = "<" if kind == "binary_little_endian" else ">"
        row = np.dtype([(f, order + t) for f, t in fields])
        if name != "vertex":
            before += count if kind == "ascii" else count * row.itemsize
            continue
        if kind == "ascii":
            lines = data[start:].decode("ascii", "replace").splitlines()[before : before + count]
            table = _numbers(lines)
            if table.shape != (count, len(fields)):
                raise UserError(f"{path.name} announces {count} splats, but holds {len(table)} of them.")
            return {f: table[:, i].astype(t) for i, (f, t) in enumerate(fields)}
        if len(data) - start - before < count * row.itemsize:
            room = max(len(data) - start - before, 0) // max(row.itemsize, 1)
            raise UserError(f"{path.name} is cut off: it announces {count:,} splats and holds {room:,}.")
        rows = np.frombuffer(data, row, count, start + before)
        return {f: rows[f].astype(t) for f, t in fields}
    raise UserError(f"{path.name} has no element 'vertex'; it needs one row per splat.")


def _numbers(lines: list[str]) -> NDArray[np.float64]:
    """Rows of text -> (rows, columns); (0, 0) when they are not all rows of the same number of numbers."""
    try:
        return np.array([[float(word) for word in line.split()] for line in lines])
    except ValueError:
        return np.zeros((0, 0))


def _header(text: str, name: str) -> tuple[str, list[tuple[str, int, list[tuple[str, str]]]]]:
    """Header text -> format and elements (name, count, [(property, numpy type)])."""
    kind = ""
    elements: list[tuple[str, int, list[tuple[str, str]]]] = []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0] in ("ply", "comment", "obj_info"):
            continue
        if words[0] == "format" and len(words) >= 2:
            kind = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isdigit():
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and len(words) == 3 and elements and words[1] in _TYPES:
            if words[2] in dict(elements[-1][2]):
                raise UserError(f"{name} names the column '{words[2]}' twice; each column needs its own name.")
            elements[-1][2].append((words[2], _TYPES[words[1]]))
        elif words[0] == "property" and "vertex" in [e[0] for e in elements[:-1]]:
            continue  # lists (faces) that stand after the splats are never read
        else:
            raise UserError(f"{name} has a header line that cannot be read here: '{line[:60]}'.")
    if kind not in ("binary_little_endian", "binary_big_endian", "ascii"):
        raise UserError(f"{name} has the format '{kind}'; it needs binary_little_endian, binary_big_endian or ascii.")
    if any(count > MOST for _, count, _ in elements):
        raise UserError(f"{name} announces more than {MOST:,} rows; cut it down first.")
    return kind, elements
