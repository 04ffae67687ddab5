"""What to type to get a result again, and what it was made on."""

from __future__ import annotations

import shlex

from ui.evaluation_result import PHOTOS, Result


def command(result: Result) -> list[str]:
    """The command line of a result, from its settings."""
    s = result.settings
    if result.schema == PHOTOS and not s:
        return ["python -m benchmarks.photos PHOTOS --json photos.json"]
    words = ["python", "app.py", "evaluate"]
    for system in s.get("systems") or ["projection"]:
        words += ["--system", system]
    if result.span:
        words += ["--people", f"{result.span[0]}:{result.span[1]}"]
        words += ["--body", str(s.get("body", "estimated"))]
    words += ["--oracle"] if any(c.variant.startswith("+") for c in result.columns) else []
    words += ["--ablation"] if s.get("ablation") is True else []
    if result.search:
        words += ["--search", str(result.search["tried"]), "--metric", result.search["metric"]]
    words += ["--photos", "PHOTOS"] if result.photos else []
    for name, option, usual in (("views", "--views", 12), ("view_px", "--size", 256), ("seed", "--seed", 0)):
        words += [option, str(s[name])] if s.get(name, usual) != usual else []
    words += ["--no-surface"] if s.get("surface") is False else []
    for pair in s.get("set") or []:
        words += ["--set", pair]
    words += ["--device", str(s["device"])] if s.get("device", "cpu") != "cpu" else []
    return [shlex.join([*words, "--out", "search" if result.search else "evaluation"])]


def made_on(result: Result) -> str:
    """Commit and machine."""
    m = result.machine
    commit = str(m.get("commit", ""))
    parts = [f"commit {commit[:10]}{'+' if commit.endswith('+') else ''}" if commit else ""]
    parts += [", ".join(str(x) for x in (m.get("processor"), f"{m['cores']} cores" if "cores" in m else None) if x)]
    return " · ".join(p for p in parts if p)
