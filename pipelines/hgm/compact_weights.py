"""The files of HGM's compact networks, as the trainings write them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pipelines.step import UserError

N = TypeVar("N", bound=nn.Module)


def with_weights(network: N, path: Path, title: str, training: str) -> N:
    """The network with a file's weights, ready to answer; UserError when the file is not of this network.

    title: what the network is called. training: the module that writes such files.
    """
    try:
        network.load_state_dict({k: v.float() for k, v in load_file(path).items()}, strict=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(
            f"'{path.name}' does not hold the weights of {title} ({str(error).splitlines()[0]}); "
            f"give the file that {training} wrote."
        ) from error
    return network.eval()
