"""The view from behind replaced by an upload: as the command line does it, squared, refused in a sentence, taken back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.hgm.pick import PickParams, pick
from pipelines.hgm.records import BackView
from pipelines.hgm.released_recipe import RELEASED_RECIPE
from pipelines.records import Upload, to_bytes
from pipelines.replace import read_replacement
from pipelines.run import Executor, Run, create_run
from pipelines.step import Context, MissingNeed, UserError
from pipelines.store import Store
from pipelines.systems import SYSTEMS, find_system
from tests import browser
from tests.browser import Server, Visitor, photo_bytes, read_run, served, step_states, wait_for
from ui import desk_jobs, inspect_back_view
from ui.edit_back_view import BackEdit, given_back
from ui.edit_views import ViewEdit
from ui.run_reader import RunReader
from ui.step_plates import EXCHANGED, view_of

pytest_plugins = ("tests.browser",)
STEP = "hgm.back"
RED = (204, 51, 26)


def figure(high: int = 120, wide: int = 120, ground: tuple[float, ...] = (0, 0, 0, 0)) -> bytes:
    """PNG: a red block left of the middle, on transparency or on a ground (RGB)."""
    image = np.empty((high, wide, len(ground)), np.float32)
    image[:] = ground
    image[high // 4 : high * 3 // 4, wide // 8 : wide // 2] = (*np.float32(RED) / 255, 1)[: len(ground)]
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(buffer, "PNG")
    return buffer.getvalue()


def box(image: np.ndarray) -> list[int]:
    """Rows and columns of the red block: top, bottom, left, right."""
    rows, columns = np.nonzero(np.abs(image * 255 - RED).max(-1) < 12)
    return [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]


def test_a_square_picture_is_what_the_command_line_makes_of_it(tmp_path: Path) -> None:
    (tmp_path / "back.png").write_bytes(figure())
    wanted = read_replacement(RELEASED_RECIPE.step(STEP), tmp_path / "back.png", None)
    made = given_back(BackEdit(figure(), "back.png"))
    assert isinstance(wanted, BackView) and np.array_equal(made.images, wanted.images)
    assert made.facts == wanted.facts and not made.coarse.any()
    assert np.abs(np.array(box(made.images[0])) - [128, 384, 64, 256]).max() <= 2
    grey = given_back(BackEdit(figure(ground=(0.4, 0.4, 0.4)), "grey.png"))
    assert (grey.images[0][:100] == 1).all(), "a plain ground becomes white"


def test_other_proportions_get_white_on_both_sides_and_say_so() -> None:
    tall, wide = (given_back(BackEdit(figure(*size), "b.png")) for size in ((160, 80), (80, 160)))
    # 160 px become 512: the narrow picture lies in the columns 128 to 384.
    assert np.abs(np.array(box(tall.images[0])) - [128, 384, 160, 256]).max() <= 2
    assert np.abs(np.array(box(wide.images[0])) - [192, 320, 64, 256]).max() <= 2
    assert (tall.images[0][:, :120] == 1).all() and (wide.images[0][:120] == 1).all()
    assert tall.facts["padded"] == "It came with 80 x 160 px; white was put left and right of it to make it square."
    assert "160 x 80 px; white was put above and below" in wide.facts["padded"]
    reader: Any = type("Reader", (), {"record": lambda self, step: tall})()
    assert b"Made square" in inspect_back_view.facts(reader, STEP, "")


def test_what_cannot_be_the_back_is_refused_with_a_sentence() -> None:
    for data, words in (
        (b"", "empty"), (b"nothing", "not a picture"), (figure()[:150], "damaged"),
        (figure(40, 40), "cannot be the view from behind: it is 40 x 40 pixels"),
        (figure(ground=tuple(np.float32(RED) / 255)), "shows nobody"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            given_back(BackEdit(data, "b.png"))


def test_a_variant_of_the_painted_ones_is_no_hindrance() -> None:
    given, ctx = given_back(BackEdit(figure(), "b.png")), Context()
    chosen = pick.run({"hgm_back": given}, PickParams(variant=3), ctx)
    assert isinstance(chosen, BackView) and np.array_equal(chosen.images, given.images)
    assert chosen.facts["variant"] == 1 and "variant 3 was of those it replaced" in ctx.warnings[0]


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(SYSTEMS, "behind", "tests.behind_system")
    find_system.cache_clear()
    yield
    find_system.cache_clear()


def test_the_desk_puts_it_where_the_painter_was_missing(behind: None, tmp_path: Path) -> None:
    upload, store = Upload(photo_bytes(), "a.png"), Store(tmp_path / "store")
    run = create_run(tmp_path / "run", upload, "behind", settings={"hgm.pick": {"variant": 2}})
    with pytest.raises(MissingNeed):
        Executor(run, store, upload).execute()
    place = str(tmp_path / "run"), str(store.root)
    reader = RunReader(tmp_path / "run", store)
    (step, _), view = EXCHANGED[STEP]
    known = view_of(step, reader.kind(step), view)
    assert reader.kind(STEP) is None and known is not None and known.maker == "ui.inspect_back_view:template"
    with Image.open(io.BytesIO(inspect_back_view.template(reader, step, ""))) as shown:
        pixels = np.asarray(shown.convert("RGB"), np.float32)
    assert pixels.shape == (512, 512, 3) and pixels[0, 0].min() > 250 and (pixels.min(-1) < 200).mean() > 0.02
    for edit, words in (
        (BackEdit(b"x", "b.png"), "not a picture"),
        (ViewEdit(0, "colour", figure(), "b"), "no result"),
    ):
        with pytest.raises(UserError, match=words):
            desk_jobs.replace(*place, STEP, edit)
    with pytest.raises(UserError, match="no picture from behind"):
        desk_jobs.replace(*place, "hgm.gaussians", BackEdit(figure(), "b.png"))
    content = desk_jobs.replace(*place, STEP, BackEdit(figure(), "b.png"))
    run = Executor(Run.load(tmp_path / "run"), store, upload).execute()
    assert run.state == "done" and run.step(STEP).replaced and run.step(STEP).content == content
    assert desk_jobs.replace(*place, STEP, None) is None
    run = Run.load(tmp_path / "run")
    assert run.replaced == {} and {s.name for s in run.steps if s.state == "stale"} == {STEP, "hgm.pick"}


# --- in a browser ---


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    systems = f"{browser.SYSTEMS},behind=tests.behind_system"
    yield from served(tmp_path_factory.mktemp("behind"), HUMANSCOPE_SYSTEMS=systems, OMP_NUM_THREADS="1")


@pytest.mark.browser
def test_a_visitor_puts_in_a_back_that_could_not_be_painted(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce").open()
    page = guest.page

    try:
        guest.choose_system("behind")
        guest.upload(photo_bytes(200))
        folder = guest.reconstruct(wait=False)
        wait_for(lambda: read_run(folder)["state"] == "missing")
        guest.choose(STEP)
        page.wait_for_selector(".hs-plate-exchange:not([hidden]) button:has-text('Put in a picture')")
        page.wait_for_selector(".hs-message:has-text('Painting needs a file')")
        page.wait_for_function("document.querySelector('.hs-exchange img').naturalWidth === 512")
        assert page.locator(".hs-veil").is_hidden()
        guest.put_in("Put in a picture", "b.png", figure(30, 30))
        page.wait_for_selector(".hs-banner:has-text('30 x 30 pixels')")
        assert read_run(folder)["replaced"] == {}
        guest.put_in("Put in a picture", "b.png", figure(160, 80))
        wait_for(lambda: read_run(folder)["state"] == "done")
        assert step_states(folder)["hgm.pick"] in ("done", "reused") and STEP in read_run(folder)["replaced"]
        guest.choose(STEP, "variants")
        page.wait_for_selector(".hs-badge:has-text('edited by hand')")
        page.wait_for_selector(".hs-numbers:has-text('white was put left and right')")
        page.click(".hs-panel button:has-text('Take back the edit')")
        wait_for(lambda: not read_run(folder)["replaced"] and read_run(folder)["state"] == "missing")
        assert not guest.errors
    finally:
        guest.leave()
