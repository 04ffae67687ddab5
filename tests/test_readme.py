"""The README's example is complete: it is taken out of the README and run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_example_step_works_as_printed(finished_out: Path, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    found = re.search(r"```python\n# (\w+)\.py\n(.*?)```", readme, re.S)
    assert found is not None
    (tmp_path / f"{found[1]}.py").write_text(found[2])
    env = {
        **os.environ, "HUMANSCOPE_SYSTEMS": f"warm={found[1]}", "HUMANSCOPE_HOME": str(finished_out.parent / "store"),
        "PYTHONPATH": str(tmp_path),
    }  # fmt: skip
    line = [
        sys.executable,
        "app.py",
        "run",
        "--from",
        str(finished_out),
        "--system",
        "warm",
        "--set",
        "warm.warmth=0.2",
    ]
    done = subprocess.run([*line, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout)["steps"][-1]
    assert last["name"] == "warm" and last["state"] == "done"


def test_the_commands_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in ("run", "render", "export", "inspect", "weights", "doctor", "serve"):
        assert f"python app.py {command}" in readme
        done = subprocess.run(
            [sys.executable, "app.py", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "usage" in done.stdout
    makefile = (ROOT / "Makefile").read_text()
    assert "app:" in makefile and "test:" in makefile


def test_every_dependency_is_pinned_with_a_reason() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-cuda.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.match(r"[\w-]+==[\w.]+(; [^#]+)?\s+# \w", line), line
