"""A ZIP of everything: all formats that the run can fill, its photo, cut-out, keypoints and body, the run
record, the licences, and the command that reproduces it.

Source: PKWARE APPNOTE 6.3. Entries are in a fixed order and bear a fixed date, so that the same run gives the
same bytes. README.txt inside lists every file with its sentence and states the frame.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.export.bundle import Bundle, words
from pipelines.export.licences import licence_files
from pipelines.step import UserError

Writer = Callable[[Bundle, Path], str]
DATE = (1980, 1, 1, 0, 0, 0)
# What is compressed already is only stored.
STORED = (".png", ".spz", ".viser", ".mp4", ".webp")


def write(bundle: Bundle, path: Path, parts: Sequence[tuple[str, Writer]]) -> str:
    """Write the ZIP; returns one sentence.

    parts: (file name inside, writer) of those formats that this bundle can fill.
    """
    files: dict[str, bytes] = {}
    told: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, writer in parts:
            place = Path(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            told[name] = writer(bundle, place)
        for kind in ("photo", "cutout", "keypoints", "body"):
            record = getattr(bundle, kind)
            if record is not None:
                (Path(folder) / "inputs").mkdir(exist_ok=True)
                record.save(Path(folder) / "inputs")
        for found in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            files[found.relative_to(folder).as_posix()] = found.read_bytes()
    if not files:
        raise UserError("This run has no result yet, so there is nothing to pack; run it first.")
    files["run.json"] = (json.dumps(bundle.run, indent=1, sort_keys=True) + "\n").encode()
    files |= licence_files()
    files["README.txt"] = readme(bundle, told).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(STORED) else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    Path(path).write_bytes(out.getvalue())
    return f"Packed {len(files)} files: {', '.join(name for name, _ in parts) or 'the inputs'}, and the run record."


def readme(bundle: Bundle, told: dict[str, str]) -> str:
    """What the ZIP holds, in words."""
    lines = [
        "A person reconstructed from one photo by Humanscope.",
        "",
        "What the photo does not show was invented; 'seen' and '_SEEN' in the files say which is which.",
        f"Frame of all 3D files: {words(bundle)}",
        "",
        *(f"{name}: {sentence}" for name, sentence in told.items()),
        "inputs/: photo, cut-out, keypoints and body as the steps left them.",
        "run.json: the run record. LICENSES/: of the program and of the models used.",
    ]
    if bundle.command:
        lines += ["", "The same result again:", f"    {bundle.command}"]
    return "\n".join(lines) + "\n"
