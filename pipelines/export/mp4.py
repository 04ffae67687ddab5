"""The turntable as an MP4 film.

Two encoders, because no package with a permissive licence carries one for H.264: where the user's own
`ffmpeg` program is installed and has such an encoder, it writes H.264 (every player); else the VP9 encoder
inside opencv (LGPL, a package we need anyway) writes VP9 in MP4 (Chrome, Firefox, Edge, VLC; not QuickTime).
The sentence says which. Both: yuv420p, a soft grey ground, even sizes, two turns.
Source: ISO/IEC 14496-12 (MP4), ITU-T H.264, Google's VP9 in ISO base media.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import Bundle, need
from pipelines.export.picture import over
from pipelines.export.preview import soft_ground
from pipelines.records import ViewSet, to_bytes
from pipelines.step import UserError

SECONDS = 3.0  # of one turn
TURNS = 2
H264_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox")  # of those, the first that an ffmpeg has
WAIT = 300.0  # seconds before an ffmpeg that hangs is given up


def write(bundle: Bundle, path: Path, *, ffmpeg: str | None = "ffmpeg") -> str:
    """Write the film; returns one sentence that names the codec. ffmpeg: the program, or None to do
    without.
    """
    views = need(bundle, "turntable")
    frames = np.concatenate([on_ground(views)] * TURNS)
    program = shutil.which(ffmpeg) if ffmpeg else None
    encoder = h264_encoder(program) if program else None
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        rate = len(views.images) / SECONDS
        if program and encoder:
            _h264(program, encoder, frames, rate, film)
        else:
            _vp9(frames, rate, film)
        Path(path).write_bytes(film.read_bytes())
    codec = "H.264" if program and encoder else "VP9, as no ffmpeg with an H.264 encoder is installed"
    height, width = frames.shape[1:3]
    return f"Wrote a film of {len(frames)} frames, {width} x {height} pixels ({codec})."


def on_ground(views: ViewSet) -> NDArray[np.uint8]:
    """The pictures (M, H, W, 3) on a soft grey ground; sizes made even by repeating the last row or
    column.
    """
    height, width = views.images.shape[1:3]
    ground = soft_ground(width, height)
    frames = np.stack([to_bytes(over(np.nan_to_num(image), ground)) for image in views.images])
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def h264_encoder(program: str) -> str | None:
    """The name of an H.264 encoder that this ffmpeg has, or None."""
    try:
        listed = subprocess.run(
            [program, "-hide_banner", "-encoders"], capture_output=True, text=True, timeout=20, check=True
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return next((name for name in H264_ENCODERS if name in listed), None)


def _h264(program: str, encoder: str, frames: NDArray[np.uint8], rate: float, film: Path) -> None:
    """One thread and no metadata, so that the same pictures give the same bytes."""
    height, width = frames.shape[1:3]
    quality = {"libx264": ["-crf", "18", "-preset", "medium"]}.get(encoder, ["-b:v", "4M"])
    command = [
        program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
        "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{rate:g}", "-i", "pipe:0",
        "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-c:v", encoder, *quality, "-pix_fmt", "yuv420p",
        "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1", "-threads", "1",
        "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags", "+faststart",
        str(film),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, input=frames.tobytes(), capture_output=True, timeout=WAIT)
    except subprocess.TimeoutExpired:
        raise UserError(f"ffmpeg did not finish the film in {WAIT:g} seconds; export webp instead.") from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"ffmpeg could not write the film: {words[-1] if words else 'no reason given'}.")


def _vp9(frames: NDArray[np.uint8], rate: float, film: Path) -> None:
    import cv2

    height, width = frames.shape[1:3]
    codec = cv2.VideoWriter.fourcc(*"vp09")
    out = cv2.VideoWriter(str(film), cv2.CAP_FFMPEG, codec, rate, (width, height))
    if not out.isOpened():
        raise UserError("The installed opencv has no VP9 encoder; install ffmpeg, or export webp instead.")
    for frame in frames:
        out.write(np.ascontiguousarray(frame[..., ::-1]))
    out.release()
    if not film.exists() or film.stat().st_size == 0:
        raise UserError("opencv wrote no film; install ffmpeg, or export webp instead.")
