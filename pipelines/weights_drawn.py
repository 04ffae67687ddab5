"""`weights check FILE --draw PHOTO`: a network of HGM's draws the person of a photo again that it was shown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipelines.devices import choose_device
from pipelines.hgm.configuration import RELEASED, HgmConfig
from pipelines.photo import read_upload
from pipelines.records import Body, Cutout
from pipelines.run import Executor, create_run
from pipelines.step import Event, UserError
from pipelines.store import Store

if TYPE_CHECKING:
    from pipelines.hgm.front_view import FrontView

CROP_STEPS = "body.fit"  # of the system 'projection': what gives the pelvis that the crop is about


def draw_again(
    path: Path, photo: Path, store: Store, say: Callable[[str], None], listen: Callable[[Event], None],
    base: HgmConfig = RELEASED,
) -> FrontView:  # fmt: skip
    """The network of a file, run on a photo's crop alone, then on the crop and its mirror image as a view from behind.

    Minutes on a CPU at the released size. say: hears a line before each part; listen: the photo's steps. base: the
    configuration that the file's shapes vary. Nothing stays but what the store keeps of the photo's steps. UserError for a
    photo without a person and for a file that is not whole.
    """
    # Heavy packages are imported by the work alone.
    import torch

    from pipelines.hgm.body_points import stand_in_points
    from pipelines.hgm.front_view import front_view
    from pipelines.hgm.released_weights import load_released
    from pipelines.hgm.whole_person import front_picture

    say(f"The person of '{photo.name}' is found and framed.")
    matte, body = person_of(photo, store, listen)
    picture = torch.from_numpy(front_picture(matte, body, stand_in_points(body, 1), base.input_size)).permute(2, 0, 1)
    if float(picture.min()) > 0.99:
        raise UserError(
            f"The crop of '{photo.name}' about the person's pelvis is white; give a photo of a whole person."
        )
    say(f"Reading '{path.name}'.")
    network, _ = load_released(path, 1, base=base)
    say("Two passes of the network; minutes on a CPU.")
    # The outline from behind is about the mirrored one; its colours are a person's too, which is all that is asked of it.
    return front_view(network.to(choose_device("auto")), picture, picture.flip(-1))


def person_of(photo: Path, store: Store, listen: Callable[[Event], None]) -> tuple[Cutout, Body]:
    """The cut-out and the fitted body of a photo, made or found in the store."""
    upload = read_upload(photo)
    run = create_run(store.root / "runs" / os.urandom(16).hex(), upload, "projection")
    try:
        Executor(run, store, upload, listen, lambda: False).execute(CROP_STEPS)
        matte, body = run.record("matte", store), run.record(CROP_STEPS, store)
        assert isinstance(matte, Cutout) and isinstance(body, Body) and np.isfinite(body["root_translation"]).all()
        return matte, body
    finally:
        shutil.rmtree(run.folder, ignore_errors=True)
