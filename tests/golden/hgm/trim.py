"""The small recorded files of this folder, from the whole set of recorded files of HGM.

    python tests/golden/hgm/trim.py DIR

Small files are copied as they are. Of the whole passes, the inputs and the sets of Gaussians are kept (with two views
the fused set alone, and the rows of the fusion network's input that show how views are interleaved).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

WHOLE = (
    "activations", "cameras_rays", "losses", "mixnet", "sampling", "upsample_index", "voxelise",
    "weights_check",
)  # fmt: skip
INPUTS = ("images", "body_vertices", "K", "cam_view", "coord_dhw", "shape_dhw")
VIEWS = ("v1", "v2")  # three views never occur
KEPT = {
    "attention": tuple(f"{v}.{part}" for v in VIEWS for part in ("q", "kv", "out", "attn")),
    "forward_v1": (*INPUTS, "gaussians_image", "gaussians_body", "gaussians_fused"),
    "forward_v2": (*INPUTS, "gaussians_fused", "mix_in_rows_0_8_last8"),
}


def main(source: Path) -> None:
    """Writes beside this file."""
    here = Path(__file__).resolve().parent
    for name in (*WHOLE, *KEPT):
        with safe_open(str(source / f"{name}.safetensors"), "np") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys() if name in WHOLE or k in KEPT[name]}  # noqa: SIM118
            config = json.loads(file.metadata()["config"])
        save_file(arrays, str(here / f"{name}.safetensors"), {"config": json.dumps(config, sort_keys=True)})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
