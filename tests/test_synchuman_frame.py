"""Framing a photo and assembling the views."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipelines.step import UserError  # noqa: E402
from pipelines.synchuman import frame, head_frame, view_pictures, views  # noqa: E402
from pipelines.synchuman.configuration import face_share  # noqa: E402


def cut_out(height: int = 60, width: int = 40) -> np.ndarray:
    """A 20 x 30 person (columns 10 .. 29, rows 15 .. 44), red above green, on nothing."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[15:45, 10:30] = (0, 255, 0, 255)
    rgba[15:30, 10:30] = (255, 0, 0, 255)
    return rgba


def test_person_fills_the_canvas_from_border_to_border() -> None:
    canvas = frame.place_on_canvas(cut_out(), 96, legacy_rounding=False)
    rows, columns = np.nonzero(canvas[..., 3] > 127)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 95, 16, 79)
    assert canvas[10, 48].tolist() == [255, 0, 0, 255] and canvas[80, 48].tolist() == [0, 255, 0, 255]
    # The released rounding loses a row and a column: 19 x 29 of the person's 20 x 30.
    legacy = frame.place_on_canvas(cut_out(), 96)
    columns = np.nonzero(legacy[..., 3] > 127)[1]
    assert columns.max() - columns.min() + 1 == int(96 / 29 * 19)


def test_face_box_is_the_middle_third_of_the_top_third() -> None:
    canvas = np.zeros((96, 96, 4), np.uint8)
    canvas[:32, 32:64] = (10, 20, 30, 255)
    face = frame.crop_face(canvas)
    assert face.shape == (96, 96, 4) and (face == [10, 20, 30, 255]).all()


def test_a_preset_says_how_large_its_face_box_is() -> None:
    """The close-up is cropped, pasted back, put on a canvas and looked for in one and the same box."""
    compact, released = (face_share({"preset": name}) for name in ("compact", "released"))
    assert (compact, released, face_share({})) == (2, 3, 3)
    assert frame.face_box(768) == (256, 0, 512, 256) and frame.face_box(256, compact) == (64, 0, 192, 128)
    canvas = np.zeros((96, 96, 4), np.uint8)
    canvas[:48, 24:72] = (10, 20, 30, 255)
    assert (frame.crop_face(canvas, compact) == [10, 20, 30, 255]).all() and frame.crop_face(canvas).min() == 10
    pictures = torch.zeros(10, 3, 96, 96)
    pictures[4] = 1.0
    front = views.assemble(pictures, torch.ones(3, 96, 96), face_share=compact).normals[0]
    assert (front[:48, 24:72] == 255).all() and front.sum() == 48 * 48 * 3 * 255
    tile = view_pictures.face_canvas(torch.zeros(3, 48, 48), 96, compact)
    assert (tile[:, :48, 24:72] == 0).all() and tile.sum() == 3 * (96 * 96 - 48 * 48)
    head = np.array([28.0, 4.0, 32.0, 8.0])  # its middle lies 0.3 from the left, 0.06 from the top
    assert head_frame.in_face_box(head, (0.0, 0.0, 100.0), compact) and not head_frame.in_face_box(head, (0, 0, 100.0))
    person = cut_out(100, 60)
    person[10:90, 10:50] = 255
    sides = [head_frame.following(person, np.array([20.0, 10.0, 40.0, 52.0]), share)[2] for share in (2, 3)]
    assert sides == [2 * 42.0, 3 * 42.0]  # the head ends 42 px below the person's highest point


def test_composite_and_bytes_cut_downwards() -> None:
    rgba = np.array([[[200, 0, 0, 128]]], np.uint8)
    white = frame.on_white(rgba)
    assert white[0, 0].tolist() == pytest.approx([200 / 255 * 128 / 255 + 127 / 255, 127 / 255, 127 / 255], abs=1e-6)
    almost = np.array([[0.999, 0.4999]], np.float32)
    assert frame.to_bytes(almost).tolist() == [[254, 127]], "cut, as released"
    assert frame.to_bytes(almost, legacy_rounding=False).tolist() == [[255, 127]], "rounded"
    plain, rounded = (frame.token_picture(cut_out(), 70, legacy).astype(int) for legacy in (True, False))
    assert set(np.unique(rounded - plain)) == {0, 1}


def test_token_crop_is_a_square_with_a_fifth_of_margin() -> None:
    crop = frame.token_crop(cut_out())
    assert crop.side == int(29 * 1.2) and crop.box == (19.5 - 17, 29.5 - 17, 19.5 + 17, 29.5 + 17)
    picture = frame.token_picture(cut_out(), 68)
    assert picture.shape == (68, 68, 3) and (picture[0] == 0).all()  # black outside
    assert picture[34 - 10, 34].tolist() == [255, 0, 0]
    assert frame.normalise(picture).shape == (3, 68, 68)


def test_faint_pixels_widen_the_canvas_but_not_the_crop() -> None:
    faint = cut_out()
    faint[50, 35, 3] = 40
    assert frame.alpha_box(faint, 0) == (10, 15, 35, 50) and frame.alpha_box(faint, frame.OPAQUE) == (10, 15, 29, 44)


def test_nothing_cut_out_is_said() -> None:
    with pytest.raises(UserError, match="cut the person out"):
        frame.place_on_canvas(np.zeros((8, 8, 4), np.uint8))


def test_views_are_assembled_pasted_and_unmirrored() -> None:
    side = 24
    pictures = torch.linspace(0.1, 0.9, 10)[:, None, None, None].expand(10, 3, side, side).clone()
    pictures[7, :, :, :4] = 0.0  # the back view's colours: dark on its stored left
    made = views.assemble(pictures, torch.ones(3, side, side))
    assert (made.colours[0] == 255).all()
    box = made.normals[0][:8, 8:16]
    assert (box == made.normals[4][0, 0]).all() and (made.normals[0][8:] == made.normals[0][-1, 0]).all()
    assert (made.normals[0][0, 0] != box[0, 0]).all()
    turned = made.unmirrored()
    assert (turned.colours[2][:, -4:] == 0).all() and (turned.colours[2][:, :4] > 0).all()
    assert np.array_equal(turned.colours[1], made.colours[1])
    assert made.concat().shape == (side, 10 * side, 3)
    plain = views.assemble(pictures, torch.ones(3, side, side), keep_generated_front=True, paste_face=False)
    assert (plain.colours[0] < 255).all() and len(np.unique(plain.normals[0])) == 1


def test_face_canvas_and_foreground() -> None:
    canvas = view_pictures.face_canvas(torch.zeros(3, 768, 768))
    assert float(canvas.sum()) == 3 * (1536**2 - 512**2) and float(canvas[:, :512, 512:1024].abs().max()) == 0
    normals = np.full((2, 2, 3), 255, np.uint8)
    normals[0, 0] = (255, 255, 229)
    normals[1, 1] = (230, 240, 255)
    assert view_pictures.foreground(normals).tolist() == [[True, False], [False, False]]
    batch = view_pictures.as_batch([np.full((32, 32, 3), 51, np.uint8)], 64)
    assert batch.shape == (1, 3, 64, 64) and float(batch.mean()) == pytest.approx(0.2)
