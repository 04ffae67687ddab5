"""The system `hgm`: who feeds whom, the ablation's settings, and a whole run with a network that answers zero."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

from pipelines.evaluate.oracle import ESTIMATED, TRUE_BODY
from pipelines.evaluate_run import run_variants, steps_of
from pipelines.hgm.layer_network import LayerNetwork
from pipelines.hgm.recipe import ABLATION, RECIPE
from pipelines.hgm.records import BackView
from pipelines.records import Body, Cutout, Layers, Person, Record, Splats, Upload, ViewSet, to_bytes
from pipelines.run import Executor, create_run
from pipelines.step import Context, NoParams, step
from pipelines.store import Store
from pipelines.systems import SYSTEMS, find_system
from tests.test_hgm_refine import body_with, miss, scene


@step("add", version=3, title="Add")
def add(photo: Cutout, body_fit: Body, params: NoParams, ctx: Context) -> Cutout:
    """One value of the body onto the picture."""
    return Cutout(photo.rgba + body_fit["root_translation"][2])


def test_a_renamed_step_is_the_same_work_on_other_records() -> None:
    twice = add.renamed("again.add", photo="add", body_fit="hgm_refine")
    assert (twice.name, twice.version, twice.inputs) == ("again.add", 3, {"add": Cutout, "hgm_refine": Body})
    body, black = body_with({}), Cutout(np.zeros((2, 2, 4), np.float32))
    made = twice.run({"add": black, "hgm_refine": body}, NoParams(), Context())
    assert isinstance(made, Cutout) and made.rgba == pytest.approx(3.0)
    assert add.name == "add" and tuple(add.inputs) == ("photo", "body_fit")
    # Renamed once more, its inputs are the new ones.
    third = twice.renamed("third", add="photo")
    assert tuple(third.inputs) == ("photo", "hgm_refine")
    assert isinstance(third.run({"photo": black, "hgm_refine": body}, NoParams(), Context()), Cutout)


def test_renaming_refuses_what_the_step_does_not_have() -> None:
    with pytest.raises(ValueError, match="'add' has no input matte; it has photo, body_fit"):
        add.renamed("x", matte="other")
    with pytest.raises(ValueError, match="one record as two"):
        add.renamed("x", photo="body_fit")


def test_the_second_pass_sees_the_refined_body() -> None:
    names = [s.name for s in RECIPE.steps]
    order = ("hgm.coarse", "hgm.refine", "hgm.again", "hgm.back", "hgm.pick", "hgm.fused", "splats")
    assert [n for n in names if n in order] == list(order)
    for name in ("hgm.maps", "hgm.layers", "hgm.again", "hgm.back", "hgm.fused", "splats", "turntable", "mesh"):
        assert "hgm.refine" in RECIPE.sources(RECIPE.step(name)).values(), name
        assert "body.fit" not in RECIPE.sources(RECIPE.step(name)).values(), name
    assert RECIPE.sources(RECIPE.step("mesh"))["hgm_fused"] == "hgm.fused"
    assert {"splats", "turntable", "mesh"} <= RECIPE.after("hgm.refine")
    assert not {"body.fit", "layers", "hgm.coarse"} & RECIPE.after("hgm.refine")
    assert steps_of(RECIPE, Body) == ["body.fit", "hgm.refine"]


def test_every_row_of_the_ablation_is_settings_of_this_recipe() -> None:
    for row, settings in ABLATION.items():
        for name, values in settings.items():
            made = RECIPE.step(name).make_params(values)
            default = RECIPE.step(name).make_params({})
            assert made != default, row
    # What changes first decides what is used again.
    assert all("hgm.coarse" not in ABLATION[row] for row in ("with refinement", "refined without side views"))


@pytest.fixture(scope="module")
def silent_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that answers zero."""
    path = tmp_path_factory.mktemp("weights") / "hgm_layers.safetensors"
    save_file({k: v.contiguous() for k, v in LayerNetwork().state_dict().items()}, path)
    return path


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SYSTEMS, "hgm", "pipelines.hgm.recipe")
    find_system.cache_clear()


def upload_of(matte: Cutout) -> Upload:
    file = io.BytesIO()
    Image.fromarray(to_bytes(matte.rgba)).save(file, "PNG")
    return Upload(file.getvalue(), "person.png")


SMALL = {
    "hgm.refine": {"enabled": True}, "body.maps": {"resolution": 192}, "hgm.maps": {"resolution": 192},
    "splats": {"count": 4000}, "turntable": {"frames": 2, "size": 48}, "hgm.back": {"refiner": "none"},
}  # fmt: skip


def test_a_whole_run_ends_with_splats_on_the_refined_body(tmp_path: Path, silent_weights: Path) -> None:
    _, wrong, coarse, matte, keypoints = scene()
    store, upload = Store(tmp_path / "store"), upload_of(matte)
    known: dict[str, Record] = {
        "person": nobody(), "matte": matte, "keypoints": keypoints, "body.fit": wrong, "hgm.coarse": coarse,
    }  # fmt: skip
    with store.hold() as hold:
        replaced = {name: store.add(record, hold) for name, record in known.items()}
        run = create_run(tmp_path / "run", upload, "hgm", settings=SMALL, weights={"hgm.layers": str(silent_weights)},
                         replaced=replaced)  # fmt: skip
        Executor(run, store, upload).execute("turntable")
    made = {s.name: store.load(s.content) for s in run.steps if s.content}
    body, fused, again = made["hgm.refine"], made["hgm.fused"], made["hgm.layers"]
    assert isinstance(body, Body) and isinstance(fused, Layers) and isinstance(again, Layers)
    # The silent network, asked again from the better body, gives that body's own layers: less to learn, no harm.
    assert miss(body) < 0.75 * miss(wrong)
    mask = again.arrays["mask"]
    for name, near in (("front", 1e-4), ("back", 1e-4), ("back_rgb", 0.01)):  # a picture has 256 steps
        assert np.abs(fused.arrays[name] - again.arrays[name])[mask].max() < near, name
    assert fused.camera.world_to_camera == pytest.approx(body.camera.world_to_camera)
    splats, table = made["splats"], made["turntable"]
    assert isinstance(splats, Splats) and len(splats) > 2000
    assert isinstance(table, ViewSet) and table.images[0][..., 3].mean() > 0.02


def test_a_picture_from_behind_is_worn_and_nothing_before_it_is_made_again(
    tmp_path: Path, silent_weights: Path
) -> None:
    _, wrong, _, matte, keypoints = scene()
    store, upload = Store(tmp_path / "store"), upload_of(matte)
    known: dict[str, Record] = {"person": nobody(), "matte": matte, "keypoints": keypoints, "body.fit": wrong}
    small = {name: {"resolution": 96} for name in ("body.maps", "hgm.maps")} | {
        "splats.first": {"count": 2000, "refine": 0}, "hgm.back": {"refiner": "none"}
    }  # fmt: skip
    with store.hold() as hold:
        replaced = {name: store.add(record, hold) for name, record in known.items()}
        words = {"settings": small, "weights": {"hgm.layers": str(silent_weights)}}
        run = create_run(tmp_path / "run", upload, "hgm", replaced=replaced, **words)  # type: ignore[arg-type]
        Executor(run, store, upload).execute("hgm.fused")
        coarse = store.load(run.step("hgm.back").content)
        assert isinstance(coarse, BackView)
        person = np.where(coarse.coarse[..., 3:] > 0.5, np.float32((0.8, 0.1, 0.1)), np.float32(1.0))
        given = BackView.from_picture(Image.fromarray(to_bytes(person)).resize((512, 512), Image.Resampling.NEAREST))
        replaced["hgm.back"] = store.add(given, hold)
        mine = create_run(tmp_path / "mine", upload, "hgm", replaced=replaced, **words)  # type: ignore[arg-type]
        Executor(mine, store, upload).execute("hgm.fused")
    states = {s.name: s.state for s in mine.steps}
    assert states["hgm.again"] == "reused" and states["hgm.fused"] == "done"
    fused = store.load(mine.step("hgm.fused").content)
    assert isinstance(fused, Layers)
    red = np.abs(fused.arrays["back_rgb"] - (0.8, 0.1, 0.1)).max(-1) < 0.1
    assert red[fused.arrays["mask"]].mean() > 0.95


def test_without_refinement_the_second_pass_is_found_in_the_store(tmp_path: Path, silent_weights: Path) -> None:
    _, wrong, _, matte, keypoints = scene()
    store, upload = Store(tmp_path / "store"), upload_of(matte)
    known: dict[str, Record] = {"person": nobody(), "matte": matte, "keypoints": keypoints, "body.fit": wrong}
    small = {name: {"resolution": 96} for name in ("body.maps", "hgm.maps")} | {
        "splats.first": {"count": 2000, "refine": 0}
    }
    with store.hold() as hold:
        replaced = {name: store.add(record, hold) for name, record in known.items()}
        run = create_run(tmp_path / "run", upload, "hgm", settings=small, weights={"hgm.layers": str(silent_weights)},
                         replaced=replaced)  # fmt: skip
        Executor(run, store, upload).execute("hgm.again")
    states = {s.name: s for s in run.steps}
    for second, first in (("hgm.maps", "body.maps"), ("hgm.layers", "layers"), ("hgm.again", "hgm.coarse")):
        assert states[first].state == "done" and states[second].state == "reused", second
        assert states[second].key == states[first].key and states[second].content == states[first].content
    spent = run.spent()
    assert all(spent[name] == 0 for name in ("hgm.maps", "hgm.layers", "hgm.again")) and spent["layers"] > 0
    assert spent.keys() == {s.name for s in run.steps if s.seconds is not None}


def test_with_the_true_body_no_refinement_moves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, list[str]] = {}

    def once(store, upload, system, *, replaced, **_):  # type: ignore[no-untyped-def]
        asked[str(len(asked))] = sorted(replaced)
        return None

    import pipelines.evaluate_run as work

    monkeypatch.setattr(work, "run_once", once)

    @dataclasses.dataclass
    class Someone:
        upload: Upload
        body: Body

    true, _, _, matte, _ = scene()
    run_variants(Store(tmp_path), Someone(upload_of(matte), true), "hgm", [ESTIMATED, TRUE_BODY])  # type: ignore[arg-type]
    assert asked == {"0": [], "1": ["body.fit", "hgm.refine"]}


def nobody() -> Person:
    """A reading of the picture that no later step of this run asks."""
    zeros = np.zeros
    return Person(
        zeros((1, 4), np.float32), np.ones(1, np.float32), 0, zeros(4, np.float32), zeros((33, 5), np.float32),
        zeros((33, 3), np.float32), zeros((256, 256), np.float32), zeros((2, 3), np.float32), "test",
    )  # fmt: skip
