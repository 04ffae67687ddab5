"""The page in headless Chromium against the real server, with the stand-in systems."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.browser import (
    NO_3D,
    PATIENCE,
    QUIET,
    Server,
    Visitor,
    chromium_path,
    colours_in,
    photo_bytes,
    read_events,
    read_run,
    step_states,
)  # fmt: skip

pytest_plugins = ("tests.browser",)
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def shown(chromium: Any, server: Server) -> Iterator[Visitor]:
    """A visitor with a finished run of the system that makes every kind of record; tests only look."""
    guest = Visitor(chromium, server).open()
    guest.choose_system("show")
    guest.upload(photo_bytes(200))
    guest.reconstruct()
    yield guest
    guest.leave()


def test_first_paint_without_prepared_runs(visitor: Visitor) -> None:
    visitor.open()
    assert "Choose a photo" in visitor.page.inner_text(".hs-stage-body")
    visitor.page.click("#hs-reconstruct")
    visitor.page.wait_for_selector(".hs-banner[data-kind=error]")
    assert "Choose a photo of a person first" in visitor.page.inner_text(".hs-banner")
    assert not visitor.errors


def test_upload_runs_every_step(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload()
    folder = visitor.reconstruct()
    assert set(visitor.states().values()) <= {"done", "reused"}
    assert set(step_states(folder).values()) <= {"done", "reused"}
    visitor.choose("matte")
    visitor.page.wait_for_function("document.querySelector('.hs-over-picture').naturalWidth > 0")
    assert colours_in(visitor.picture(".hs-pair")) >= 4
    assert "Covers" in visitor.page.inner_text(".hs-numbers")
    assert not (folder / "upload.bin").exists()
    assert not visitor.errors


def test_changed_knob_marks_stale_and_reruns_only_later_steps(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(211))
    folder = visitor.reconstruct()
    visitor.turn("slow", "iterations", 7)
    assert visitor.states() == {"photo": visitor.states()["photo"], "matte": visitor.states()["matte"],
                                "slow": "stale", "last.step": "stale"}  # fmt: skip
    seen = len(read_events(folder))
    visitor.page.click(".hs-again")
    visitor.wait_state("slow", "done")
    visitor.wait_state("last.step", "done")
    visitor.rest()
    assert step_states(folder) == {"photo": "reused", "matte": "reused", "slow": "done", "last.step": "done"}
    later = read_events(folder)[seen:]
    assert {e["step"] for e in later if e["state"] == "running"} == {"slow", "last.step"}
    assert read_run(folder)["settings"] == {"slow": {"iterations": 7}}


def test_reload_finds_the_run(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload()
    visitor.reconstruct()
    before = visitor.states()
    visitor.page.reload()
    visitor.page.wait_for_function("document.body.dataset.hsMine === 'yes'")
    assert visitor.states() == before


def test_reload_in_the_middle_follows_on_and_stop_stops(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(190))
    folder = visitor.reconstruct()
    visitor.turn("slow", "iterations", 900)
    visitor.page.click(".hs-again")
    visitor.wait_state("slow", "running")
    visitor.page.reload()
    visitor.wait_state("slow", "running")
    visitor.page.wait_for_function("/iteration [1-9]/.test(document.querySelector('.hs-status').textContent)")
    visitor.page.wait_for_selector(".hs-live:not([hidden])")  # a picture while it works
    assert visitor.page.get_attribute('.hs-steps li[data-step="slow"]', "aria-current") == "step"
    visitor.page.click("#hs-stop")
    visitor.wait_state("slow", "cancelled")
    assert "running" not in visitor.states().values() and "queued" not in visitor.states().values()
    assert read_run(folder)["state"] == "cancelled"
    assert not visitor.page.is_visible("#hs-stop")
    visitor.set_number("iterations", 3)
    visitor.page.click(".hs-again")
    visitor.wait_state("last.step", "done")


def test_step_by_step_pauses_and_continues(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(180))
    visitor.page.check("#hs-stepwise input")
    folder = visitor.reconstruct()
    visitor.wait_state("photo", "needs-you")
    assert step_states(folder)["matte"] in ("waiting", "queued")
    visitor.page.click(".hs-line button:has-text('Continue')")
    visitor.wait_state("matte", "needs-you")
    visitor.page.wait_for_selector('.hs-knob[data-knob="threshold"]')
    visitor.set_number("threshold", 0.9)
    visitor.page.click(".hs-again")
    visitor.page.wait_for_function("document.querySelector('.hs-message:not([hidden])')?.textContent.includes('empty')")
    assert step_states(folder)["matte"] == "warning"
    assert step_states(folder)["slow"] in ("waiting", "queued")


def test_a_failed_step_says_so_in_a_sentence(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(170))
    visitor.reconstruct()
    visitor.turn("slow", "fail_at", 1)
    visitor.page.click(".hs-again")
    visitor.wait_state("slow", "failed")
    assert "From before the change" in visitor.page.inner_text(".hs-veil")
    assert "planted fault" in visitor.page.inner_text(".hs-message")
    assert "Traceback" not in visitor.page.inner_text("body")


def test_a_file_that_is_no_picture(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(b"%PDF-1.4 not a picture", "letter.pdf")
    visitor.reconstruct()
    visitor.wait_state("photo", "failed")
    assert "not a picture" in visitor.page.inner_text(".hs-status")


def test_solids_have_pictures_without_webgl(playwright_engine: Any, server: Server, shown: Visitor) -> None:
    browser = playwright_engine.chromium.launch(executable_path=chromium_path(), args=[*QUIET, *NO_3D])
    try:
        guest = Visitor(browser, server).open()
        assert guest.page.evaluate("document.createElement('canvas').getContext('webgl2')") is None
        guest.choose_system("show")
        guest.upload(photo_bytes(200))
        guest.reconstruct()
        guest.choose("splats")
        guest.page.wait_for_selector(".hs-plate-solid canvas[data-ready]")
        assert "3D is off" in guest.page.inner_text(".hs-plate-solid")
        assert guest.page.locator(".hs-tools button:has-text('3D')").is_disabled()
        assert colours_in(guest.picture(".hs-turn")) >= 6
    finally:
        browser.close()


def test_frames_turn_by_drag_and_keys(shown: Visitor) -> None:
    page = shown.page
    shown.choose("mesh", "textured")
    page.wait_for_selector(".hs-plate-solid canvas[data-ready*='frames-textured']")
    box = page.locator(".hs-turn").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    first = page.get_attribute(".hs-turn", "data-frame")
    page.mouse.move(x + 150, y, steps=4)
    page.mouse.up()
    dragged = page.get_attribute(".hs-turn", "data-frame")
    assert dragged != first
    page.focus(".hs-turn")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute(".hs-turn", "data-frame") != dragged


def test_all_plates_of_all_steps_have_a_picture(shown: Visitor) -> None:
    page = shown.page
    empty = []
    for step in shown.states():
        shown.choose(step)
        for plate in page.eval_on_selector_all(".hs-tabs button", "all => all.map(e => e.dataset.plate)"):
            shown.choose(step, plate)
            page.wait_for_function(
                """() => { const p = document.querySelector('.hs-plate:not([hidden])');
                const pictures = [...p.querySelectorAll('img')].every(i => i.complete && i.naturalWidth > 0);
                const canvas = p.querySelector('canvas');
                const drawn = !canvas || canvas.dataset.frame !== undefined && !canvas.hasAttribute('aria-busy');
                const chart = p.querySelector('.hs-chart');
                const points = p.querySelector('svg.hs-points');
                return pictures && drawn && (!chart || chart.querySelector('path'))
                    && (!points || points.querySelector('image')); }"""
            )
            if colours_in(shown.picture()) < 5:
                empty.append((step, plate))
    assert not empty
    assert not shown.errors


def test_recorded_3d_opens_no_socket_and_is_never_mounted_anew(shown: Visitor) -> None:
    page = shown.page
    shown.choose("splats", "colour")
    page.evaluate("document.querySelector('.hs-3d').dataset.mark = 'first'")
    page.click(".hs-tools button:has-text('3D')")
    page.wait_for_selector(".hs-3d:not([hidden])")
    assert "playbackPath=" in page.get_attribute(".hs-3d", "src")
    frame = page.frame_locator(".hs-3d")
    frame.locator("canvas").first.wait_for(timeout=1000 * PATIENCE)
    before, drawn = None, 0
    for _ in range(40):  # there is no event for 'picture ready': two equal pictures that are not empty
        page.wait_for_timeout(700)
        now = shown.picture(".hs-3d")
        drawn = colours_in(now)
        if before is not None and drawn >= 12 and np.array_equal(before, now):
            break
        before = now
    assert drawn >= 12
    shown.choose("mesh", "clay")
    page.wait_for_function("document.querySelector('.hs-3d').src.includes('scene-clay')")
    assert page.get_attribute(".hs-3d", "data-mark") == "first"
    assert len(page.query_selector_all("iframe")) == 1
    assert shown.sockets == []
    page.click(".hs-tools button:has-text('Frames')")


def test_scrubbing_the_fit(shown: Visitor) -> None:
    page = shown.page
    shown.choose("body.fit", "fit")
    page.wait_for_selector(".hs-fit-picture[data-frame]")
    last = shown.picture(".hs-fit-picture")
    page.locator(".hs-plate-fit input[type=range]").fill("0")
    page.wait_for_selector(".hs-fit-picture[data-frame='0']")
    assert "iteration 0" in page.inner_text(".hs-plate-fit .hs-number")
    assert np.abs(shown.picture(".hs-fit-picture").astype(int) - last).mean() > 1
    assert page.locator(".hs-plate-fit .hs-chart path").count() == 2


def test_moving_a_keypoint_goes_on_from_there(visitor: Visitor) -> None:
    visitor.open()
    visitor.choose_system("show")
    visitor.upload(photo_bytes(200))
    folder = visitor.reconstruct()
    visitor.choose("keypoints")
    visitor.page.wait_for_selector(".hs-dot[data-index='13']")
    box = visitor.page.locator(".hs-dot[data-index='13'] .hs-core").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    visitor.page.mouse.move(x, y)
    visitor.page.mouse.down()
    visitor.page.mouse.move(x + 60, y - 40, steps=3)
    visitor.page.mouse.up()
    visitor.page.focus(".hs-dot[data-index='15']")
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.click(".hs-plate-points button:has-text('Apply')")
    run = wait_replaced(folder, {"keypoints"})
    visitor.rest()
    visitor.choose("keypoints")
    visitor.page.wait_for_selector(".hs-badge:has-text('edited by hand')")
    content = run["replaced"]["keypoints"]
    points = json.loads((visitor.server.store / "objects" / content / "keypoints.json").read_text())
    assert [i for i, e in enumerate(points["edited"]) if e] == [13, 15]
    assert step_states(folder)["body.fit"] == "done"  # fitted anew, not reused
    visitor.page.click(".hs-panel button:has-text('Take back the edit')")
    wait_replaced(folder, set())
    visitor.rest()


def wait_replaced(folder: Path, names: set[str]) -> dict[str, Any]:
    """run.json as soon as the run is done with exactly these steps made by hand."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        run = read_run(folder)
        if (
            set(run["replaced"]) == names
            and run["state"] == "done"
            and all(s["state"] in ("done", "reused", "warning") for s in run["steps"])
        ):
            return run
        time.sleep(0.1)
    raise AssertionError(f"after {PATIENCE:.0f} s: {run['state']}, {run['message']}, by hand {sorted(run['replaced'])}")


def test_painting_the_cutout(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(222))
    folder = visitor.reconstruct()
    old = _alpha(visitor, folder)
    visitor.choose("matte")
    visitor.page.click("button:has-text('Edit cut-out by hand')")
    canvas = visitor.page.locator(".hs-paint[data-frame]")
    canvas.wait_for()
    box = canvas.bounding_box()

    def stroke(*places: tuple[float, float]) -> None:
        for i, (x, y) in enumerate(places):
            visitor.page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=6)
            if not i:
                visitor.page.mouse.down()
        visitor.page.mouse.up()

    apply = visitor.page.locator(".hs-plate-paint button:has-text('Apply')")
    assert apply.is_disabled()
    stroke((0.4, 0.2), (0.4, 0.3))
    assert apply.is_enabled()
    visitor.page.click(".hs-plate-paint button:has-text('Undo')")
    assert apply.is_disabled()
    visitor.page.locator(".hs-brush-size input").fill("10")
    stroke((0.32, 0.1), (0.32, 0.5))  # beside the bar, which fills the middle
    visitor.page.click(".hs-plate-paint button:has-text('Remove')")
    stroke((0.5, 0.6), (0.5, 0.8))
    apply.click()
    wait_replaced(folder, {"matte"})
    visitor.choose("matte")
    visitor.page.wait_for_selector(".hs-badge:has-text('edited by hand')")
    visitor.rest()
    new = _alpha(visitor, folder)
    high, wide = old.shape

    def to(x: float, y: float) -> tuple[int, int]:  # the photo is fitted into the element by its height
        return round(high * y), round(0.5 * wide + (x - 0.5) * box["width"] / box["height"] * high)

    assert old[to(0.4, 0.25)] == new[to(0.4, 0.25)]  # undone
    assert old[to(0.32, 0.3)] == 0 and new[to(0.32, 0.3)] == 255
    assert old[to(0.5, 0.7)] == 255 and new[to(0.5, 0.7)] == 0
    assert step_states(folder)["slow"] == "done"  # made anew from the new cut-out


def _alpha(visitor: Visitor, folder: Path) -> np.ndarray:
    content = next(s["content"] for s in read_run(folder)["steps"] if s["name"] == "matte")
    from PIL import Image

    with Image.open(visitor.server.store / "objects" / content / "cutout.png") as image:
        return np.asarray(image)[..., 3]


def test_download(shown: Visitor) -> None:
    with shown.page.expect_download(timeout=1000 * PATIENCE) as waiting:
        shown.page.click('.hs-format[data-format="ply"]')
    assert waiting.value.suggested_filename == "humanscope-person.ply"
    data = Path(waiting.value.path()).read_bytes()
    assert data.startswith(b"ply\nformat binary_little_endian 1.0\n") and b"property float f_dc_0" in data
    with shown.page.expect_download() as waiting:
        shown.choose("keypoints")
        shown.page.click(".hs-keep")
    assert Path(waiting.value.path()).read_bytes().startswith(b"PK")


def test_second_visitor_sees_nothing_of_the_first(chromium: Any, server: Server, shown: Visitor) -> None:
    other = Visitor(chromium, server).open()
    try:
        assert other.states() == {}
        address = shown.page.evaluate("document.querySelector('.hs-keep').href")
        own, name = address.split("/files/")[1].split("/")[:2]
        other.upload(photo_bytes(100))
        token = json.loads(
            other.page.evaluate("JSON.stringify(performance.getEntriesByType('resource').map(e => e.name))")
        )
        theirs = next(t for t in token if "/photo/" in t).split("/photo/")[1].split("?")[0]
        assert theirs != own
        assert other.page.request.get(address).status == 200  # the address is a capability, and theirs to keep
        assert other.page.request.get(address.replace(own, theirs)).status == 404
        assert other.page.request.get(f"{server.url}files/example/{name}/photo/photo.webp").status == 404
    finally:
        other.leave()


def test_no_request_to_any_other_host(shown: Visitor, server: Server) -> None:
    assert {h for h in shown.hosts if h} == {f"127.0.0.1:{server.port}"}
    assert not shown.errors


def test_rail_by_keyboard(shown: Visitor) -> None:
    page = shown.page
    shown.choose("photo")
    page.focus('.hs-steps li[data-step="photo"] button')
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('li').dataset.step") == "matte"
    assert page.inner_text(".hs-panel h2") == "Cut-out"
    page.keyboard.press("End")
    assert page.inner_text(".hs-panel h2") == "Mesh"
    page.keyboard.press("Home")
    assert page.inner_text(".hs-panel h2") == "Photo"


NAMELESS = """() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea')].filter(e => {
  if (!e.offsetParent && e.type !== 'file') return false;
  const label = e.labels && [...e.labels].some(l => l.innerText.trim());
  return !(e.innerText || '').trim() && !e.getAttribute('aria-label') && !e.getAttribute('aria-labelledby')
    && !e.title && !label && !e.querySelector('img[alt]:not([alt=""])') && !e.placeholder;
}).map(e => e.outerHTML.slice(0, 160))"""
CONTRAST = """() => {
  const paper = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const parse = (c) => { paper.clearRect(0, 0, 1, 1); paper.fillStyle = c; paper.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = paper.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const light = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c[3] > 0.99) return c; } return [255, 255, 255, 1]; };
  const bad = [];
  for (const e of document.querySelectorAll('.gradio-container *')) {
    if (!e.offsetParent || e.closest('svg, [aria-hidden=true], :disabled, .hs-skip')) continue;
    if (e.closest('[data-state=stale]')) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = light(parse(getComputedStyle(e).color)), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push([e.className || e.tagName, e.textContent.trim().slice(0, 30), ratio.toFixed(2)]);
  }
  return bad; }"""


def test_accessibility_basics(shown: Visitor) -> None:
    page = shown.page
    shown.choose("body.fit", "body")
    assert page.get_attribute("html", "lang") == "en"
    assert page.evaluate(NAMELESS) == []
    assert page.eval_on_selector_all("iframe", "all => all.filter(e => !e.title).length") == 0
    assert page.eval_on_selector_all("img", "all => all.filter(e => !e.hasAttribute('alt')).length") == 0
    assert page.locator("ol.hs-steps > li").count() == 7
    assert page.locator(".hs-spoken[aria-live=polite]").count() == 1
    words = page.eval_on_selector_all(".hs-steps .hs-word", "all => all.map(e => e.textContent)")
    assert all(words)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(shown: Visitor, scheme: str) -> None:
    page = shown.page
    if page.evaluate("document.body.classList.contains('dark')") != (scheme == "dark"):
        page.click(".hs-theme")
    page.wait_for_timeout(400)
    page.wait_for_function("!document.getAnimations().some(a => a instanceof CSSTransition)")  # colours fade
    for step in ("matte", "splats"):
        shown.choose(step)
        page.wait_for_timeout(200)
        assert page.evaluate(CONTRAST) == [], step


def test_phone(chromium: Any, server: Server, shown: Visitor) -> None:
    guest = Visitor(chromium, server, viewport={"width": 390, "height": 844}, has_touch=True)
    try:
        guest.open()
        assert guest.page.evaluate("document.documentElement.scrollWidth") == 390
        guest.choose_system("show")
        guest.upload(photo_bytes(200))
        guest.reconstruct()
        for step in ("matte", "keypoints", "body.fit", "splats", "mesh"):
            guest.choose(step)
            assert guest.page.evaluate("document.documentElement.scrollWidth") == 390, step
        guest.page.wait_for_selector(".hs-plate-solid canvas[data-ready*='frames-textured']")
        assert guest.page.is_hidden(".hs-3d")
        assert "Load 3D" in guest.page.inner_text(".hs-plate-solid")
    finally:
        guest.leave()


def test_delete_now(visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(133))
    folder = visitor.reconstruct()
    contents = [s["content"] for s in read_run(folder)["steps"]]
    visitor.page.on("dialog", lambda dialog: dialog.accept())
    visitor.page.click("button:has-text('Delete now')")
    visitor.page.wait_for_function("document.body.dataset.hsMine === 'no'")
    assert not folder.exists()
    assert [c for c in contents if (visitor.server.store / "objects" / c).exists()] == []
    visitor.page.reload()
    visitor.page.wait_for_function("document.body.dataset.hsState")
    assert visitor.states() == {}
