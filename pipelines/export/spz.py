"""SPZ: about a tenth of the size of PLY, read by Scaniverse, Babylon.js, Spark, PlayCanvas and others.

Source: Niantic Labs, github.com/nianticlabs/spz, README "File Format", version 3. A gzip stream of a 16-byte
header (magic 0x5053474e, version, count, degree of spherical harmonics, fractional bits, flags, reserved) and
the attributes one after the other: positions 3 x 24-bit fixed point, alphas 8 bits, colours 3 x 8 bits (f_dc
x 0.15 + 0.5), scales 3 x 8 bits ((ln s + 10) x 16), rotations 32 bits (the index of the largest component of
xyzw in the top two bits, then the other three in order, a sign bit and nine bits of magnitude / sqrt(1/2)
each).
Frame: the format's own axes are right-up-back (x right, y up, z towards the viewer), which is `bundle.FRAME`
without any change. Quantised: positions to 0.06 mm, scales to 3 %, colours to 0.7 %, rotations to 0.1
degrees.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import Bundle, need
from pipelines.export.finite import finite_splats, left_out
from pipelines.export.ply import SH_0
from pipelines.records import Splats
from pipelines.step import UserError

MAGIC, VERSION = 0x5053474E, 3
FRACTION_BITS = 14  # 1 / 16384 m; 24 bits then reach +-512 m
COLOUR_SCALE = 0.15


def write(bundle: Bundle, path: Path) -> str:
    """Write the splats; returns one sentence. UserError when a splat lies beyond the range of the fixed
    point.
    """
    splats, dropped = finite_splats(need(bundle, "splats"))
    Path(path).write_bytes(_gzip(to_bytes(splats)))
    return f"Wrote {len(splats):,} splats as SPZ version {VERSION}{left_out(dropped, 'splats')}."


def to_bytes(splats: Splats) -> bytes:
    """Finite splats -> header and attributes, before compression."""
    reach = 2.0 ** (23 - FRACTION_BITS)
    if np.abs(splats.means).max() >= reach:
        raise UserError(
            f"A splat lies more than {reach:g} m from the origin, which SPZ cannot hold; export PLY instead."
        )
    fixed = np.round(splats.means.astype(np.float64) * 2**FRACTION_BITS).astype("<i4")
    positions = np.ascontiguousarray(fixed).view(np.uint8).reshape(-1, 4)[:, :3]
    f_dc = (splats.colours.astype(np.float64) - 0.5) / SH_0
    parts = (
        positions,
        _eight_bits(splats.opacities * 255.0),
        _eight_bits((f_dc * COLOUR_SCALE + 0.5) * 255.0),
        _eight_bits((np.log(splats.scales.astype(np.float64)) + 10.0) * 16.0),
        smallest_three(splats.quats),
    )
    header = struct.pack("<IIIBBBB", MAGIC, VERSION, len(splats), 0, FRACTION_BITS, 0, 0)
    return header + b"".join(part.tobytes() for part in parts)


def smallest_three(quats: NDArray[np.floating]) -> NDArray[np.uint32]:
    """(N, 4) quaternions wxyz -> (N,) packed uint32, little endian."""
    xyzw = np.asarray(quats, np.float64)[:, [1, 2, 3, 0]]
    xyzw = xyzw / np.linalg.norm(xyzw, axis=1, keepdims=True)
    largest = np.argmax(np.abs(xyzw), axis=1)
    # q and -q are one rotation: the largest component is made positive and then need not be stored.
    xyzw = xyzw * np.where(np.take_along_axis(xyzw, largest[:, None], 1) < 0, -1.0, 1.0)
    packed = largest.astype(np.uint32)
    others = np.array([[i for i in range(4) if i != j] for j in range(4)])[largest]
    for column in range(3):
        value = np.take_along_axis(xyzw, others[:, column : column + 1], 1)[:, 0]
        magnitude = np.minimum(np.floor(np.abs(value) * np.sqrt(2.0) * 511.0 + 0.5), 511).astype(np.uint32)
        packed = (packed << np.uint32(10)) | ((value < 0).astype(np.uint32) << np.uint32(9)) | magnitude
    return packed.astype("<u4")


def _eight_bits(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _gzip(data: bytes) -> bytes:
    """A gzip stream without a time or a name, so that the same splats give the same bytes on every
    machine.
    """
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    return squeeze.compress(data) + squeeze.flush()
