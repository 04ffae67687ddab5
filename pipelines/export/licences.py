"""The licences that travel with a ZIP: those of the program and of the models that made the result.

They are read from the installation itself: LICENSE and NOTICE beside `app.py`, and every SOURCES.json,
SOURCES.md, LICENSE* and NOTICE* under assets/, each under its own path.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("LICENSE*", "LICENCE*", "NOTICE*", "SOURCES.json", "SOURCES.md")


def licence_files(root: Path = ROOT) -> dict[str, bytes]:
    """Path inside the ZIP -> bytes, sorted; FileNotFoundError when the installation has no LICENSE or NOTICE
    at all.
    """
    found = [path for name in NAMES[:3] for path in root.glob(name)]
    found += [path for name in NAMES for path in (root / "assets").rglob(name)]
    files = sorted({path for path in found if path.is_file()})
    if not files:
        raise FileNotFoundError(f"No licence file lies beside the program in {root.name}; install it again.")
    return {f"LICENSES/{path.relative_to(root).as_posix()}": path.read_bytes() for path in files}
