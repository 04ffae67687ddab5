"""Layers: each part imports only itself and those before it; heavy packages stay out of declarations."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Parts in their order; the parts of one line do not import one another.
LAYERS = [
    ["pipelines"],
    ["pipelines.geometry"],
    ["pipelines.records"],
    ["pipelines.step"],
    ["pipelines.store", "pipelines.recipe", "pipelines.memory", "pipelines.devices", "pipelines.file_digest"],
    ["pipelines.weights", "pipelines.fetch_code"],
    ["pipelines.landmarks"],
    ["pipelines.photo"],
    ["pipelines.person"],
    ["pipelines.matte", "pipelines.keypoints"],
    ["pipelines.body"],
    ["pipelines.projection"],
    # HGM's compact preset corrects the layers of `projection` and draws them with its splats.
    ["pipelines.hgm", "pipelines.synchuman", "pipelines.views"],
    ["pipelines.evaluate"],
    ["pipelines.export"],
    ["pipelines.systems"],
    ["pipelines.run"],
    [
        "pipelines.worker",
        "pipelines.output",
        "pipelines.replace",
        "pipelines.terminal",
        "pipelines.weights_drawn",
        "pipelines.doctor",
        "pipelines.fetch",
    ],
    ["pipelines.commands"],
    ["pipelines.evaluate_run"],
    ["pipelines.evaluate_people"],
    ["pipelines.evaluate_session"],
    ["pipelines.evaluate_command"],
    ["ui"],
    ["app"],
]
RANK = {part: i for i, layer in enumerate(LAYERS) for part in layer}
FILES = [p for folder in ("pipelines", "ui") for p in sorted((ROOT / folder).rglob("*.py"))] + [ROOT / "app.py"]


def part_of(module: str) -> str | None:
    """The longest known part that a module belongs to."""
    words = module.split(".")
    for n in range(len(words), 0, -1):
        if ".".join(words[:n]) in RANK:
            return ".".join(words[:n])
    return None


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} uses a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    mine = part_of(name_of(path))
    assert mine is not None, f"{path.name} belongs to no layer; add it to LAYERS"
    for module in imports_of(path):
        other = part_of(module)
        if other is None or other == mine or other == "pipelines":
            continue
        assert RANK[other] < RANK[mine], f"{name_of(path)} imports {module}, which is not below it"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_gradio_and_viser_stay_where_they_belong(path: Path) -> None:
    roots = {m.split(".")[0] for m in imports_of(path)}
    name = name_of(path)
    assert "gradio" not in roots or name.startswith("ui")
    assert "viser" not in roots or name.startswith("ui") or name.startswith("pipelines.export")
    assert not roots & {"training", "benchmarks", "tests"}
    assert "pickle" not in roots or name == "pipelines.body.smplx_pickle"


def test_no_bag_of_leftovers() -> None:
    for path in FILES:
        assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc", "manager", "tools"}


def test_declarations_load_without_heavy_packages() -> None:
    """The page reads every step's declaration before it answers; torch and the like are imported when first needed."""
    code = (
        "import sys\nfrom pipelines.systems import SYSTEMS, find_system\nimport pipelines.commands, pipelines.worker\n"
        "for name in SYSTEMS: find_system(name)\n"
        "heavy = {'torch', 'numba', 'cv2', 'scipy', 'skimage', 'trimesh', 'gradio', 'viser'} & set(sys.modules)\n"
        "print(','.join(sorted(heavy)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
