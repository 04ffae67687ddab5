"""Sampling in the steps of SyncHuman, on the stand-in preset: bytes, cancelling, going on, memory, precision, knobs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.photo import read_upload  # noqa: E402
from pipelines.run import Executor, Run, create_run  # noqa: E402
from pipelines.step import Cancelled, Context, Event  # noqa: E402
from pipelines.store import Store  # noqa: E402
from pipelines.synchuman import lending  # noqa: E402
from pipelines.synchuman.records import JointSample, SlatSample  # noqa: E402
from pipelines.systems import find_system  # noqa: E402
from tests.synchuman_run import STEPS, content, inputs, made, work  # noqa: E402

pytest_plugins = ("tests.synchuman_run",)
ROOT = Path(__file__).resolve().parent.parent


class Stop:
    """Asks to cancel at the n-th time it is asked."""

    def __init__(self, at: int) -> None:
        self.at, self.asked = at, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.at


def test_equal_seeds_give_equal_bytes_and_others_do_not(whole: tuple[Run, Store, list[Event]], tmp_path: Path) -> None:
    # That the joint step gives the same bytes is part of going on, below.
    slat, one = "synchuman.slat", {"steps": 1}
    assert content(work(whole, slat), tmp_path / "a") == whole[0].step(slat).content
    assert content(work(whole, slat, seed=6), tmp_path / "b") != whole[0].step(slat).content
    first, other = (work(whole, "synchuman.joint", seed=seed, settings=one) for seed in (5, 6))
    assert np.abs(first.latents - other.latents).max() > 0.5 and np.abs(first.grid - other.grid).max() > 0.5


@pytest.mark.parametrize("step", ["synchuman.joint", "synchuman.slat"])
def test_a_stopped_sampler_goes_on_to_the_same_bytes(
    step: str, whole: tuple[Run, Store, list[Event]], tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    stop = Stop(4)  # networks, step 1, step 2, step 3: cancelled after the third step was kept
    with pytest.raises(Cancelled):
        work(whole, step, is_cancelled=stop, scratch=scratch)
    with np.load(scratch / "state.npz") as kept:
        assert int(kept["step"]) == 3
    events: list[Event] = []
    again = work(whole, step, scratch=scratch, listen=events.append)
    assert any("going on after step 3" in e.message for e in events)
    assert not any("step 2 of" in e.message for e in events), "nothing is done twice"
    assert content(again, tmp_path / "again") == whole[0].step(step).content
    # What is damaged is not gone on with.
    (scratch / "state.npz").write_bytes(b"PK half a file")
    assert content(work(whole, step, scratch=scratch), tmp_path / "anew") == whole[0].step(step).content


def test_a_run_killed_in_the_middle_of_sampling_goes_on(
    whole: tuple[Run, Store, list[Event]], example_photo: Path, tmp_path: Path
) -> None:
    """kill -9 of the whole program while it samples; the next run of the same photo goes on after the kept step."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pipelines.photo import read_upload\n"
        "from pipelines.run import Executor, create_run\nfrom pipelines.store import Store\n"
        "photo, root = Path(sys.argv[1]), Path(sys.argv[2])\nupload = read_upload(photo)\n"
        "run = create_run(root / 'run', upload, 'synchuman-tiny', seed=5)\n"
        "def listen(event):\n    if event.step == 'synchuman.joint' and 'step 2 of' in event.message:\n"
        "        os.kill(os.getpid(), 9)\n"
        "Executor(run, Store(root / 'store'), upload, listen).execute('synchuman.joint')\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(example_photo), str(tmp_path)], cwd=ROOT, env=env, check=False
    )
    assert done.returncode == -9
    store, events = Store(tmp_path / "store"), []  # type: ignore[var-annotated]
    (scratch,) = (store.root / "scratch").iterdir()
    assert (scratch / "state.npz").is_file()
    upload = read_upload(example_photo)
    run = create_run(tmp_path / "second", upload, "synchuman-tiny", seed=5)
    Executor(run, store, upload, events.append).execute("synchuman.joint")
    assert any("going on after step 2" in e.message for e in events)
    assert run.step("synchuman.joint").content == whole[0].step("synchuman.joint").content
    assert not list((store.root / "scratch").iterdir()), "unfinished work goes when the step is done"


def test_unfinished_work_is_kept_for_its_own_key_and_for_a_week(
    whole: tuple[Run, Store, list[Event]], example_photo: Path, tmp_path: Path
) -> None:
    store, upload = Store(tmp_path / "store"), read_upload(example_photo)
    run = create_run(tmp_path / "run", upload, "synchuman-tiny", settings={"synchuman.joint": {"steps": 2}})
    seen: list[str] = []

    def listen(event: Event) -> None:
        seen.append(event.message)

    with pytest.raises(Cancelled):
        Executor(run, store, upload, listen, lambda: any(m.startswith("step 1 of 2") for m in seen)).execute()
    (kept,) = (store.root / "scratch").iterdir()
    assert run.step("synchuman.joint").state == "cancelled" and not store.has("nothing")
    other = create_run(tmp_path / "other", upload, "synchuman-tiny", seed=1, settings=run.settings)
    seen.clear()
    Executor(other, store, upload, listen).execute("synchuman.joint")
    assert not any("going on" in m for m in seen) and kept.is_dir(), "another seed is other work"
    Store(store.root)
    assert kept.is_dir()
    old = time.time() - 8 * 86400
    os.utime(kept, (old, old))
    Store(store.root)
    assert not kept.exists()


def test_short_memory_changes_nothing_but_rounding(
    whole: tuple[Run, Store, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    plain = lending.Lender._make

    def watched(self: lending.Lender, name: str) -> Any:
        calls.append((name, len(lending._kept)))
        return plain(self, name)

    monkeypatch.setattr(lending.Lender, "_make", watched)
    lending._kept.clear()
    short: JointSample = work(whole, "synchuman.joint", settings={"memory": "short", "steps": 1})
    assert {name for name, _ in calls} == {"vae", "image_encoder", "dinov2", "joint_network"}
    plenty: JointSample = work(whole, "synchuman.joint", settings={"memory": "plenty", "steps": 1})
    # What the recorded sampling loop is allowed to differ by; its numbers are as large.
    for name, allowed in (("latents", 2e-4), ("grid", 1e-4)):
        a, b = getattr(short, name), getattr(plenty, name)
        assert not np.array_equal(a, b) or name == "grid", "the halves did run apart"
        assert np.abs(a - b).max() < allowed and np.abs(a).max() > 1
    assert short.facts == plenty.facts
    calls.clear()
    work(whole, "synchuman.views")
    assert not calls, "with plenty of memory networks stay"


def test_one_network_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released preset's way with short memory, on small networks in its place."""
    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", lambda self, name: torch.nn.Linear(2, 2))
    monkeypatch.setattr(lending.Lender, "_marks", lambda self, name: [])
    for short, held in ((True, 0), (False, 2)):
        lender = lending.Lender("released", Context("x"), short)
        for name in ("vae", "dinov2"):
            with lender.network(name) as network:
                assert isinstance(network, torch.nn.Linear)
        assert len(lending._kept) == held
    with lending.Lender("released", Context("x"), True).network("joint_network"):
        assert not lending._kept, "what an earlier run left is given back first"


def test_fast_mode_is_off_labelled_and_different(whole: tuple[Run, Store, list[Event]]) -> None:
    params = STEPS["synchuman.joint"].params()
    assert params.fast is False and find_system("synchuman").step("synchuman.joint").params().steps == 50
    ctx = Context("synchuman.joint", seed=5)
    fast = STEPS["synchuman.joint"].run(inputs(whole, "synchuman.joint"), replace(params, fast=True), ctx)
    assert isinstance(fast, JointSample) and fast.facts["fast"] is True
    assert any("Fast mode" in sentence for sentence in ctx.warnings)
    assert not np.array_equal(fast.latents, made(whole, "synchuman.joint").latents)


def test_fast_mode_uses_guidance_twice_and_can_be_stopped(
    whole: tuple[Run, Store, list[Event]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps 1 and 3 of four lie above half of the time and are evaluated both ways, step 2 with the photo alone; a run
    stopped between them goes on to the same bytes."""
    from pipelines.synchuman import joint_sampling

    asked: list[str] = []
    for name in ("guided_velocities", "conditional_velocities"):
        plain = getattr(joint_sampling, name)

        def counted(*given: Any, _plain: Callable[..., Any] = plain, _name: str = name, **named: Any) -> Any:
            asked.append(_name.split("_")[0])
            return _plain(*given, **named)

        monkeypatch.setattr(joint_sampling, name, counted)
    settings, step, scratch = {"fast": True, "steps": 4}, "synchuman.joint", tmp_path / "scratch"
    straight = work(whole, step, settings=settings)
    times = joint_sampling.times(4)[:4]
    wanted = ["conditional" if t <= 0.5 or i % 2 else "guided" for i, t in enumerate(times)]
    assert asked == wanted and wanted[:2] == ["guided", "conditional"]
    with pytest.raises(Cancelled):
        work(whole, step, settings=settings, is_cancelled=Stop(2), scratch=scratch)
    asked.clear()
    again = work(whole, step, settings=settings, scratch=scratch)
    assert asked == wanted[1:], "what was kept is gone on with, the difference included"
    assert content(again, tmp_path / "again") == content(straight, tmp_path / "straight")


def test_slats_guidance_interval_matters(whole: tuple[Run, Store, list[Event]]) -> None:
    step, released = STEPS["synchuman.slat"], find_system("synchuman").step("synchuman.slat").params()
    assert (released.steps, released.strength, released.guided_from, released.guided_to) == (25, 5.0, 0.5, 1.0)
    plain: SlatSample = made(whole, "synchuman.slat")
    never: SlatSample = work(whole, step.name, settings={"guided_from": 0.0, "guided_to": 0.0})
    none: SlatSample = work(whole, step.name, settings={"strength": 0.0})
    assert np.abs(never.latents - none.latents).max() < 1e-3 * np.abs(none.latents).max()
    assert np.abs(plain.latents - none.latents).max() > 0.05


def test_a_number_that_is_not_finite_is_not_hidden(
    whole: tuple[Run, Store, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.step import UserError
    from pipelines.synchuman import draw_joint

    plain: Callable[..., Any] = draw_joint.sample_joint

    def broken(*given: Any, **named: Any) -> Any:
        for state in plain(*given, **named):
            yield replace(state, latents=state.latents * float("nan"))

    monkeypatch.setattr(draw_joint, "sample_joint", broken)
    with pytest.raises(UserError, match="not finite"):
        work(whole, "synchuman.joint")


def test_half_precision_as_on_a_card(whole: tuple[Run, Store, list[Event]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stage in float16 with its state in float32, the second with a float16 torso, on the CPU."""
    from pipelines.synchuman.networks import half_torso

    plain = lending.Lender._make

    def halved(self: lending.Lender, name: str) -> Any:
        network = plain(self, name)
        if name in lending.STAGE_1:
            return network.half()
        return half_torso(network) if name in lending.STAGE_2 else network

    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", halved)
    half: JointSample = work(whole, "synchuman.joint", settings={"steps": 1})
    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", plain)
    single: JointSample = work(whole, "synchuman.joint", settings={"steps": 1})
    for name in ("latents", "grid"):
        a, b = getattr(half, name), getattr(single, name)
        assert a.dtype == np.float32 and 0 < np.abs(a - b).max() < 0.1 * np.abs(b).max()
    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", halved)
    for name in ("synchuman.voxels", "synchuman.slat", "synchuman.splats", "synchuman.surface"):
        record = work(whole, name, settings={"steps": 1} if name == "synchuman.slat" else {})
        assert all(np.isfinite(v).all() for v in vars(record).values() if isinstance(v, np.ndarray)), name
    voxels = work(whole, "synchuman.voxels")
    before, after = ({tuple(c) for c in v.coords} for v in (made(whole, "synchuman.voxels"), voxels))
    assert len(before & after) > 0.9 * len(before | after)
    monkeypatch.setattr(lending, "_kept", {})
