"""Recorded scenes and the HTML page: what is in the bytes, and that viser's shader draws it."""

from __future__ import annotations

import dataclasses
import io
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import trimesh
import zstandard

from pipelines.export import html, palette, viser_scene
from pipelines.export.bundle import Bundle
from pipelines.export.display_copy import UNIT, display_copy, passes
from pipelines.export.scene_layers import FARTHER, LAYERS, WINDOW, default_layers, first_view
from pipelines.geometry.rotations import covariance
from pipelines.records import SEEN_NAMES
from pipelines.step import UserError
from tests.asymmetric import person_bundle, person_splats, rigged_body, stands_right

ON_PERSON = [name for name in LAYERS if not name.startswith("body")]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return person_bundle(2)


def messages(recording: bytes) -> tuple[dict, list[dict[str, Any]], list[bytes]]:
    """A plain reader of the recording: header, messages without their times, binary buffers."""
    size = struct.unpack_from("<Q", recording)[0]
    inner = zstandard.ZstdDecompressor().decompress(recording[8:], max_output_size=size)
    length = struct.unpack_from("<Q", inner)[0]
    facts = msgspec.msgpack.decode(inner[8 : 8 + length])
    at, buffers = 8 + length, []
    for count in facts["binaryBufferLengths"]:
        at += -at % 8
        buffers.append(inner[at : at + count])
        at += count
    return facts, [message for _, message in facts["messages"]], buffers


def of_type(found: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [m for m in found if m["type"] == kind]


def splat_rows(recording: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres in metres of the world (N, 3), variances (N, 6) in metres^2, rgba (N, 4) 0..255 of the one splat node."""
    _, found, buffers = messages(recording)
    (node,) = of_type(found, "GaussianSplatsMessage")
    data = np.frombuffer(buffers[node["props"]["buffer"]["__binary_index"]], np.uint8).reshape(-1, 32)
    scale = node["props"]["scale"]
    centres = data[:, :12].copy().view("<f4") * scale
    for place in of_type(found, "SetPositionMessage"):
        if place["name"] == "/person":
            centres = centres + np.array(place["position"])
    return centres, data[:, 16:28].copy().view("<f2").astype(np.float64) * scale**2, data[:, 28:]


def test_the_recorded_person_stands_right(bundle: Bundle, capfd: pytest.CaptureFixture[str]) -> None:
    recording = viser_scene.scene_bytes(bundle)
    centres, variances, rgba = splat_rows(recording)
    stands_right(centres, rgba[:, :3] / 255)
    assert bundle.splats is not None
    assert np.abs(centres - bundle.splats.means).max() < 1e-6
    assert np.abs(rgba[:, 3] / 255 - bundle.splats.opacities).max() < 0.003
    assert (np.abs(variances[:, [1, 2, 4]]) > 0).all(), "a covariance without off-diagonals is not drawn"
    assert capfd.readouterr() == ("", ""), "viser printed its tables"
    assert viser_scene.scene_bytes(bundle) == recording


def test_up_and_the_first_view(bundle: Bundle) -> None:
    """+y points up in the viewer; it starts in front, at the photo's camera, and the person fits the window."""
    facts, found, _ = messages(viser_scene.scene_bytes(bundle))
    assert facts["viserVersion"] == "1.1.1" and facts["durationSeconds"] == 0
    root = [m["wxyz"] for m in of_type(found, "SetOrientationMessage") if m["name"] == ""][-1]
    w, x, y, z = root
    # The viewer's own up is +z: the root turns the scene's +y onto it.
    up = np.array([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)])
    assert np.allclose(up, [0, 0, 1], atol=1e-6) or np.allclose(up, [0, 1, 0], atol=1e-6)
    assert bundle.body is not None and bundle.splats is not None
    position = np.array(of_type(found, "SetCameraPositionMessage")[-1]["position"])
    look_at = np.array(of_type(found, "SetCameraLookAtMessage")[-1]["look_at"])
    fov = of_type(found, "SetCameraFovMessage")[-1]["fov"]
    assert np.allclose(position, bundle.body.camera.position, atol=1e-6) and position[2] > 2
    away = position - look_at
    depth = (position - bundle.splats.means) @ away / np.linalg.norm(away)
    height = np.abs(bundle.splats.means[:, 1] - look_at[1])
    assert (height / depth < np.tan(fov / 2)).all(), "the person does not fit the window"
    assert (height / depth).max() > 0.6 * np.tan(fov / 2), "the person is small in the window"


@pytest.mark.parametrize("layer", ["body", "body_over_splats"])
def test_body_layers_stand_right(layer: str, bundle: Bundle) -> None:
    """The rig's raised left hand is up and at +x in the recording; over it the splats are faint."""
    body = rigged_body()
    _, found, buffers = messages(viser_scene.scene_bytes(dataclasses.replace(bundle, body=body), (layer,)))
    (node,) = of_type(found, "MeshMessage")
    if layer == "body_over_splats":
        (splats,) = of_type(found, "GaussianSplatsMessage")
        rows = np.frombuffer(buffers[splats["props"]["buffer"]["__binary_index"]], np.uint8).reshape(-1, 32)
        assert rows[:, 31].min() > 0 and rows[:, 31].max() < 64
    else:
        assert not of_type(found, "GaussianSplatsMessage")
    vertices = np.frombuffer(buffers[node["props"]["vertices"]["__binary_index"]], "<f4").reshape(-1, 3)
    places = [m["position"] for m in of_type(found, "SetPositionMessage") if "splats" not in m["name"]]
    vertices = vertices + np.sum([[0.0, 0.0, 0.0], *places], axis=0)
    left, right = (vertices[sign * vertices[:, 0] > 0.35, 1] for sign in (1, -1))
    assert left.max() > right.max() + 0.2 and left.min() > right.min() + 0.2, "the raised hand is not at +x"
    assert abs(vertices[:, 1].min()) < 0.05
    low = vertices[vertices[:, 1] < 0.05]
    assert low[:, 2].max() > 0.03 - low[:, 2].min(), "the toes point to +z"


@pytest.mark.parametrize("layer", ON_PERSON)
def test_every_layer(layer: str, bundle: Bundle) -> None:
    _, found, _ = messages(viser_scene.scene_bytes(bundle, (layer,)))
    names = {m["name"] for m in found if m.get("name", "").startswith("/person/")}
    assert names == {f"/person/{layer}"}


def test_named_colours(bundle: Bundle) -> None:
    """Splats of one code have one hue, those of another code another; the raised hand's front counts as seen."""
    _, _, rgba = splat_rows(viser_scene.scene_bytes(bundle, ("splats_seen",)))
    assert bundle.splats is not None
    for code, name in enumerate(SEEN_NAMES):
        wanted = np.array(palette.SEEN_COLOURS[name]) / 255
        shown = rgba[bundle.splats.seen == code, :3] / 255
        ratio = shown[:, wanted > 0.3] / wanted[wanted > 0.3]
        assert ratio.min() > 0.58 and ratio.max() < 1.01 and np.ptp(ratio, axis=1).max() < 0.02
    camera = person_bundle(1).body
    assert camera is not None
    near = palette.splat_colours(bundle.splats, "depth", camera.camera)
    front = np.argmax(bundle.splats.means[:, 2])
    back = np.argmin(bundle.splats.means[:, 2])
    assert near[front].sum() > near[back].sum() + 0.5, "near is light, far is dark"
    with pytest.raises(ValueError, match="camera"):
        palette.splat_colours(bundle.splats, "depth")


def test_mesh_layers_are_unlit_glb(bundle: Bundle) -> None:
    """The photo's light is in the texture already; the recorded mesh stands right too."""
    _, found, buffers = messages(viser_scene.scene_bytes(bundle, ("mesh",)))
    (node,) = of_type(found, "GlbMessage")
    data = node["props"]["glb_data"]
    data = buffers[data["__binary_index"]] if isinstance(data, dict) else data
    assert b"KHR_materials_unlit" in data[:4000]
    back = trimesh.load_mesh(io.BytesIO(data), file_type="glb", process=False)
    texture = np.asarray(back.visual.material.baseColorTexture.convert("RGB"))
    x = (back.visual.uv[:, 0] * texture.shape[1]).astype(int)
    y = ((1 - back.visual.uv[:, 1]) * texture.shape[0]).astype(int)
    place = np.array([m["position"] for m in of_type(found, "SetPositionMessage")] or [[0.0, 0, 0]]).sum(0)
    stands_right(back.vertices + place, texture[y, x] / 255)


def test_spin_is_one_turn(bundle: Bundle) -> None:
    facts, found, _ = messages(viser_scene.scene_bytes(bundle, spin=True))
    assert facts["durationSeconds"] == pytest.approx(viser_scene.SPIN_SECONDS)
    turns = np.array([m["wxyz"] for m in of_type(found, "SetOrientationMessage") if m["name"] == "/person"])
    assert len(turns) == viser_scene.SPIN_FRAMES and np.allclose(turns[:, [1, 3]], 0)
    angle = np.degrees(2 * np.arctan2(turns[:, 2], turns[:, 0]))
    assert angle[-1] == pytest.approx(360) and (np.diff(angle) > 0).all() and np.diff(angle).max() < 1


def test_wrong_layers_are_refused(bundle: Bundle) -> None:
    with pytest.raises(UserError, match="no layer 'ghost'"):
        viser_scene.scene_bytes(bundle, ("ghost",))
    with pytest.raises(UserError, match="no mesh yet"):
        viser_scene.scene_bytes(dataclasses.replace(bundle, mesh=None), ("mesh",))
    with pytest.raises(UserError, match="nothing in 3D"):
        default_layers(Bundle())
    assert default_layers(dataclasses.replace(bundle, splats=None)) == ("mesh",)


def test_display_copy_keeps_small_and_faint_splats() -> None:
    """Equal, tiny, axis-aligned splats: all pass the shader's test at the farthest distance, none is diagonal."""
    person = person_splats()
    n = len(person)
    hard = dataclasses.replace(
        person,
        quats=np.tile(np.float32([1, 0, 0, 0]), (n, 1)),
        scales=np.full((n, 3), 1e-4, np.float32),
        opacities=np.linspace(0.02, 1.0, n, dtype=np.float32),
    )
    focal, distance = 650.0, 4.0
    sigma_px = 1e-4 * focal / distance
    assert passes(hard.opacities, np.full(n, sigma_px)).mean() < 0.05, "the case is not hard"
    copy = display_copy(hard, focal, distance)
    stored = copy.covariances.astype(np.float16).astype(np.float64)
    least = np.linalg.eigvalsh(stored)[:, 0]
    assert passes(hard.opacities, np.sqrt(least) * UNIT * focal / distance).all()
    off = stored[:, [0, 0, 1], [1, 2, 2]]
    assert (off != 0).all() and np.abs(off).max() < 0.002 * stored[:, 0, 0].max()
    assert copy.thickened == 1.0


def test_display_copy_leaves_large_splats_alone() -> None:
    person = person_splats()
    large = dataclasses.replace(person, scales=person.scales * 0 + np.float32([0.02, 0.03, 0.015]))
    copy = display_copy(large, 650.0, 4.0)
    assert copy.thickened == 0.0
    exact = covariance(large.quats.astype(np.float64), large.scales) / UNIT**2
    assert np.abs(copy.covariances - exact).max() < 0.002 * exact.max()
    assert np.array_equal(copy.centers, (large.means / UNIT).astype(np.float32))


def test_first_view_reaches_the_copy(bundle: Bundle) -> None:
    """The copy that the scene holds is made for the scene's own first view and the zoom allowed around it."""
    assert bundle.splats is not None
    view = first_view(bundle, bundle.splats.means)
    _, variances, rgba = splat_rows(viser_scene.scene_bytes(bundle))
    matrix = variances[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    least = np.sqrt(np.linalg.eigvalsh(matrix)[:, 0])
    focal = WINDOW / (2 * np.tan(view.fov / 2))
    assert passes(rgba[:, 3] / 255, least * focal / (FARTHER * view.distance)).all()


def test_the_server_stays_at_home() -> None:
    """Loopback only, and no client's wish opens a tunnel."""
    with viser_scene.quiet_console():
        server = viser_scene.local_server()
        try:
            assert server.get_host() == "127.0.0.1" and server.get_port() > 0
            assert server.request_share_url() is None and server._share_tunnel is None
        finally:
            server.stop()


def test_html_holds_everything(bundle: Bundle, tmp_path: Path) -> None:
    sentence = html.write(bundle, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "without a network" in sentence and f"{len(person_splats()):,} splats" in sentence
    assert "__VISER_EMBED_DATA__" in page and "+y up" in page
    assert page.index(html.CLASSIC_WORKER) < page.index("__VISER_EMBED_DATA__")
    head = page[: page.index("</head>")]
    assert 'src="http' not in head and 'href="http' not in head


@pytest.mark.browser
def test_html_opened_from_disk_sorts_its_splats(bundle: Bundle, tmp_path: Path) -> None:
    """Offline and from disk: a leg is red (the front), not blue (the back shining through)."""
    import shutil
    import time

    from PIL import Image

    from tests.browser import PATIENCE

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    html.write(bundle, tmp_path / "a.html")
    flags = ["--no-sandbox", "--disable-background-networking", "--use-angle=swiftshader",
             "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]  # fmt: skip
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_context(offline=True, viewport={"width": 420, "height": 420}).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "a.html").as_uri())
        end = time.monotonic() + PATIENCE
        leg = np.zeros(3)
        while time.monotonic() < end:
            time.sleep(0.5)
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            # The lower half: the upper one may lie under a notice about software rendering.
            leg = np.asarray(picture, float)[280:350, 175:200].mean((0, 1)) / 255
            if leg[0] > 0.7 and leg[2] < 0.35:
                break
        browser.close()
    assert leg[0] > 0.7 and leg[2] < 0.35, f"the middle of the legs shows {leg.round(2)}"
    assert all(url.startswith(("file:", "blob:", "data:")) for url in asked)
