"""Files of splats: PLY, .splat and SPZ, each read back by a plain reader of the published layout."""

from __future__ import annotations

import dataclasses
import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from pipelines.export import ply, splat, spz
from pipelines.export.bundle import Bundle
from pipelines.geometry.rotations import covariance
from pipelines.records import GENERATED, ORIGIN_NAMES, Splats
from pipelines.step import UserError
from tests.asymmetric import person_splats, stands_right


@pytest.fixture(scope="module")
def person() -> Splats:
    splats = person_splats()
    turn = np.random.default_rng(3).normal(size=(len(splats), 4))
    # Any orientation, not only the six of a box, and quaternions of either sign.
    return dataclasses.replace(splats, quats=(turn / np.linalg.norm(turn, axis=1, keepdims=True)).astype(np.float32))


def plain_ply(data: bytes) -> tuple[list[str], np.ndarray]:
    """A plain reader: float and uchar columns of one element, binary little endian."""
    head, _, body = data.partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    words = [line.split() for line in lines]
    count = next(int(w[2]) for w in words if w[:2] == ["element", "vertex"])
    columns = [(w[2], {"float": "<f4", "uchar": "u1"}[w[1]]) for w in words if w[0] == "property"]
    return lines, np.frombuffer(body, np.dtype(columns), count)


def plain_spz(data: bytes) -> dict[str, np.ndarray]:
    """The published layout of version 3, one splat and one byte after the other."""
    raw = gzip.decompress(data)
    magic, version, n, degree, bits, flags, reserved = struct.unpack_from("<IIIBBBB", raw)
    assert (magic, version, degree, flags, reserved) == (0x5053474E, 3, 0, 0, 0)
    at = 16
    position = [int.from_bytes(raw[at + 3 * i : at + 3 * i + 3], "little", signed=True) for i in range(3 * n)]
    at += 9 * n
    alpha = np.array([raw[at + i] / 255.0 for i in range(n)])
    at += n
    f_dc = np.array([(raw[at + i] / 255.0 - 0.5) / 0.15 for i in range(3 * n)]).reshape(n, 3)
    at += 3 * n
    scale = np.exp(np.array([raw[at + i] / 16.0 - 10.0 for i in range(3 * n)]).reshape(n, 3))
    at += 3 * n
    xyzw = np.zeros((n, 4))
    for i in range(n):
        word = struct.unpack_from("<I", raw, at + 4 * i)[0]
        largest = word >> 30
        for c in range(3, -1, -1):
            if c != largest:
                xyzw[i, c] = (word & 511) / 511.0 * np.sqrt(0.5) * (-1.0 if word >> 9 & 1 else 1.0)
                word >>= 10
        xyzw[i, largest] = np.sqrt(1.0 - np.sum(xyzw[i] ** 2))
    assert at + 4 * n == len(raw)
    means = np.array(position).reshape(n, 3) / 2.0**bits
    return {"means": means, "alpha": alpha, "f_dc": f_dc, "scale": scale, "wxyz": xyzw[:, [3, 0, 1, 2]]}


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between the rotations of two arrays of unit quaternions."""
    dot = np.abs(np.sum(np.asarray(a, np.float64) * np.asarray(b, np.float64), axis=1))
    return np.degrees(2 * np.arccos(np.clip(dot, 0, 1)))


def test_ply_bears_the_columns_of_gaussian_splatting(person: Splats, tmp_path: Path) -> None:
    sentence = ply.write(Bundle(splats=person), tmp_path / "a.ply")
    lines, rows = plain_ply((tmp_path / "a.ply").read_bytes())
    assert f"{len(person):,} splats" in sentence and "left out" not in sentence
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert any("+y up" in line and "+z" in line for line in lines if line.startswith("comment"))
    assert rows.dtype.names == (*ply.COLUMNS, "seen", "origin")
    means = np.stack([rows["x"], rows["y"], rows["z"]], 1)
    colours = 0.5 + 0.28209479 * np.stack([rows[f"f_dc_{i}"] for i in range(3)], 1)
    stands_right(means, colours)
    assert np.array_equal(means, person.means)
    assert np.abs(colours - person.colours).max() < 1e-6
    assert np.abs(1 / (1 + np.exp(-rows["opacity"].astype(float))) - person.opacities).max() < 2e-6
    scales = np.exp(np.stack([rows[f"scale_{i}"] for i in range(3)], 1))
    assert np.abs(scales / person.scales - 1).max() < 2e-6
    quats = np.stack([rows[f"rot_{i}"] for i in range(4)], 1)
    assert np.abs(covariance(quats, scales) - covariance(person.quats, person.scales)).max() < 1e-9
    assert np.array_equal(rows["seen"], person.seen) and np.array_equal(rows["origin"], person.origin)


def test_ply_comes_back(person: Splats, tmp_path: Path) -> None:
    ply.write(Bundle(splats=person), tmp_path / "a.ply")
    back = ply.read(tmp_path / "a.ply")
    for field in dataclasses.fields(Splats):
        assert np.allclose(getattr(back, field.name), getattr(person, field.name), atol=3e-6), field.name
    ply.write(Bundle(splats=back), tmp_path / "b.ply")
    again = ply.read(tmp_path / "b.ply")
    assert np.array_equal(back.means, again.means) and np.array_equal(back.seen, again.seen)


@pytest.mark.parametrize("form", ["binary_little_endian", "binary_big_endian", "ascii"])
def test_ply_of_another_program(form: str, tmp_path: Path) -> None:
    """Doubles, f_rest, its own order of columns, an element before and one with a list after; DC is kept."""
    names = ["rot_0", "rot_1", "rot_2", "rot_3", "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0",
             "f_rest_1", "opacity", "scale_0", "scale_1", "scale_2"]  # fmt: skip
    values = np.array(
        [
            [2, 0, 0, 0, 1, 2, 3, 0, 1, 99, 7, 8, 0, -5, -6, -7],
            [0, 3, 0, 0, 4, 5, 6, 0, 0, 0, 7, 8, 2, -4, -4, -4],
        ]
    )
    header = [f"ply\nformat {form} 1.0\ncomment someone else\nelement camera 1\nproperty float fov\nelement vertex 2"]
    header += [f"property {'double' if n == 'x' else 'float'} {n}" for n in names]
    header += ["element face 0\nproperty list uchar int vertex_indices\nend_header\n"]
    if form == "ascii":
        body = "40\n" + "\n".join(" ".join(f"{v:g}" for v in row) for row in values) + "\n"
        data = "\n".join(header).encode() + body.encode()
    else:
        order = "<" if "little" in form else ">"
        rows = np.zeros(2, np.dtype([(n, order + ("f8" if n == "x" else "f4")) for n in names]))
        for i, n in enumerate(names):
            rows[n] = values[:, i]
        data = "\n".join(header).encode() + np.array([40], order + "f4").tobytes() + rows.tobytes()
    (tmp_path / "foreign.ply").write_bytes(data)
    back = ply.read(tmp_path / "foreign.ply")
    assert np.array_equal(back.means, [[1, 2, 3], [4, 5, 6]])
    assert np.allclose(back.quats, [[1, 0, 0, 0], [0, 1, 0, 0]])
    assert np.allclose(back.colours, [[0.5, 0.5 + ply.SH_0, 1], [0.5, 0.5, 0.5]])
    assert np.allclose(back.opacities, [0.5, 1 / (1 + np.exp(-2))])
    assert np.allclose(back.scales, np.exp([[-5, -6, -7], [-4, -4, -4]]))
    assert (back.seen == GENERATED).all() and (back.origin == ORIGIN_NAMES.index("imported")).all()


def test_bad_ply_files_are_refused_in_a_sentence(person: Splats, tmp_path: Path) -> None:
    good = ply.to_bytes(person)
    cases = {
        "not a PLY": (b"glTF" + bytes(100), "not a PLY"),
        "cut off": (good[:-200], "cut off"),
        "a point cloud": (good.replace(b" f_dc_0\n", b" redness\n"), "f_dc_0"),
        "no end": (good[:60], "not a PLY"),
        "huge": (good.replace(f"vertex {len(person)}".encode(), b"vertex 99999999999"), "announces more"),
        "doubled": (good.replace(b"property float nx", b"property float x"), "twice"),
        "odd type": (good.replace(b"property float nx", b"property vec3 nx"), "header line"),
    }
    for name, (data, words) in cases.items():
        (tmp_path / "bad.ply").write_bytes(data)
        with pytest.raises(UserError, match=words):
            ply.read(tmp_path / "bad.ply")
            pytest.fail(name)


def test_splat_file(person: Splats, tmp_path: Path) -> None:
    """Means and scales exactly; colours, opacities and quaternions to their 8 bits."""
    splat.write(Bundle(splats=person), tmp_path / "a.splat")
    data = (tmp_path / "a.splat").read_bytes()
    assert len(data) == 32 * len(person)
    floats = np.array([struct.unpack_from("<6f", data, 32 * i) for i in range(len(person))])
    octets = np.array([list(data[32 * i + 24 : 32 * i + 32]) for i in range(len(person))])
    size = np.prod(floats[:, 3:], 1) * octets[:, 3]
    assert (size[:-1] >= size[1:] * 0.98).all(), "the largest splats do not stand first"
    stands_right(floats[:, :3], octets[:, :3] / 255, colour_tolerance=0.005)
    order = np.lexsort(person.means.T), np.lexsort(floats[:, :3].T)
    assert np.array_equal(person.means[order[0]], floats[order[1], :3].astype(np.float32))
    back = splat.read(tmp_path / "a.splat")
    # Faces of a box share edge points, so rows are matched by mean and colour, not by mean alone.
    key = lambda s: np.lexsort([*np.round(s.colours * 20).T, *np.round(s.scales * 1e5).T, *s.means.T])  # noqa: E731
    a, b = person.select(key(person)), back.select(key(back))
    assert np.array_equal(a.scales, b.scales)
    assert np.abs(a.opacities - b.opacities).max() <= 0.5 / 255 + 1e-6
    assert np.abs(a.colours - b.colours).max() <= 0.5 / 255 + 1e-6
    assert angles(a.quats, b.quats).max() < 1.2


def test_splat_file_with_another_length_is_refused(tmp_path: Path) -> None:
    for size in (0, 33):
        (tmp_path / "a.splat").write_bytes(bytes(size))
        with pytest.raises(UserError, match="multiple of 32"):
            splat.read(tmp_path / "a.splat")


def test_spz_by_its_published_layout(person: Splats, tmp_path: Path) -> None:
    """Tolerances are half a step of the format: 1/32768 m, 1/32 in ln s, 0.5/255 alpha, 0.5/255/0.15*0.2821 colour."""
    spz.write(Bundle(splats=person), tmp_path / "a.spz")
    data = (tmp_path / "a.spz").read_bytes()
    assert data[:3] == b"\x1f\x8b\x08" and data[4:8] == bytes(4), "a gzip stream without a time"
    back = plain_spz(data)
    colours = 0.5 + 0.28209479 * back["f_dc"]
    stands_right(back["means"], colours, colour_tolerance=0.01)
    assert np.abs(back["means"] - person.means).max() <= 1 / 32768 + 1e-7
    assert np.abs(np.log(back["scale"] / person.scales)).max() <= 1 / 32 + 1e-6
    assert np.abs(back["alpha"] - person.opacities).max() <= 0.5 / 255 + 1e-6
    assert np.abs(colours - person.colours).max() <= 0.5 / 255 / 0.15 * 0.2821 + 1e-6
    assert angles(back["wxyz"], person.quats).max() < 0.25


def test_spz_far_splats_are_refused(person: Splats, tmp_path: Path) -> None:
    far = dataclasses.replace(person, means=person.means + np.float32([0, 0, 600]))
    with pytest.raises(UserError, match="512 m"):
        spz.write(Bundle(splats=far), tmp_path / "a.spz")


@pytest.mark.parametrize("packed", [-1.0, 1.0])
def test_spz_rotations_at_the_edges(packed: float) -> None:
    """Each component largest, either sign, and ties; the code of a plain rotation is known by hand."""
    for i in range(4):
        q = np.zeros((1, 4))
        q[0, i] = packed
        # wxyz index i is xyzw index (i + 3) % 4; the other three are zero, whose sign bit is free.
        word = int(spz.smallest_three(q)[0])
        assert word >> 30 == (i + 3) % 4 and word & 0x1FF7FDFF & ~0x20080200 == 0


@pytest.mark.parametrize("writer, suffix", [(ply, "ply"), (splat, "splat"), (spz, "spz")])
def test_numbers_that_are_not_finite_are_left_out_and_counted(writer, suffix: str, tmp_path: Path) -> None:
    splats = person_splats()
    means, scales, quats = splats.means.copy(), splats.scales.copy(), splats.quats.copy()
    means[3, 1], scales[10, 0], scales[20, 2], quats[30] = np.nan, np.inf, 0.0, 0.0
    bad = dataclasses.replace(splats, means=means, scales=scales, quats=quats)
    sentence = writer.write(Bundle(splats=bad), tmp_path / f"a.{suffix}")
    assert f"{len(splats) - 4:,} splats" in sentence and "; 4 splats" in sentence and sentence.endswith("left out.")
    good = Bundle(splats=splats.select(np.setdiff1d(np.arange(len(splats)), [3, 10, 20, 30])))
    writer.write(good, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
    with pytest.raises(UserError, match="None of the"):
        writer.write(Bundle(splats=dataclasses.replace(splats, means=means * np.nan)), tmp_path / f"c.{suffix}")
    with pytest.raises(UserError, match="no splats yet"):
        writer.write(Bundle(), tmp_path / f"c.{suffix}")
