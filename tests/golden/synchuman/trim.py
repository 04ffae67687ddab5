"""Makes this folder from the complete recorded files: `python trim.py DIR`.

DIR holds synchuman_stage1/ and synchuman_stage2/. Small files are copied; of large ones the inputs and the last
outputs are kept, with `trimmed` in their configuration.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from safetensors import safe_open
from safetensors.numpy import save_file

WHOLE = {
    "synchuman_stage1": ["conditioning", "dit_block", "euler_half", "occupancy_decoder"],
    "synchuman_stage2": ["cameras", "flexicubes_noise_weights"],
}
TRIMMED = {
    "synchuman_stage1": {
        "embedders": "out.(freq_256_cos_sin|patchify2|pos_emb_64_res4|t_embedding.*|time_proj.*|unpatchify.*|in.*)",
        "sampling_loop": "out.(t_.*|latents_final|structure_latent_final|logits)",
    },
    "synchuman_stage2": {
        "slat_flow": "output.velocity",
        "decoder_gs": "output.(xyz|opacity|scale_bias)",
        "decoder_mesh": "output.(counts|blocks.1)",
        "visibility": "output.visible_view_count",
        "hole_fill": "output.a.*",
    },
}


def main(source: Path, target: Path) -> None:
    """Write every file."""
    for stage, names in WHOLE.items():
        (target / stage).mkdir(exist_ok=True)
        for name in names:
            (target / stage / f"{name}.safetensors").write_bytes((source / stage / f"{name}.safetensors").read_bytes())
    for stage, table in TRIMMED.items():
        for name, kept in table.items():
            with safe_open(str(source / stage / f"{name}.safetensors"), "np") as file:
                arrays = {k: file.get_tensor(k) for k in file.keys() if k[:2] == "in" or re.fullmatch(kept, k)}  # noqa: SIM118
                metadata = dict(file.metadata())
            config = json.loads(metadata.get("config", "{}")) | {"trimmed": True}
            save_file(arrays, target / stage / f"{name}.safetensors", {"config": json.dumps(config)})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).resolve().parent)
