"""What the joint network is told besides noise and time, and how the two guidance halves are laid out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PROMPT_ROWS = (0, 2, 3, 4, 6)  # front, right, back, left, face among the seven prompts of the parent model
DOMAINS = 2


@dataclass(frozen=True)
class Conditions:
    """One photo, as the joint network sees it. Items: five views of normals, then five of colours.

    text (10, T, text): prompt features; kept in the unconditional half. labels (10, 2 d). image_latents (10, 4, S, S).
    context (1, K, context): normalised image tokens. The last three are zero in the unconditional half.
    """

    text: Tensor
    labels: Tensor
    image_latents: Tensor
    context: Tensor


def class_labels(embeddings: Tensor) -> Tensor:
    """(10, d) picture embeddings -> (10, 2 d): each followed by the sinusoid of noise level 0, ones then zeros."""
    ones = torch.ones_like(embeddings[:, : embeddings.shape[1] // 2])
    return torch.cat([embeddings, ones, torch.zeros_like(ones)], 1)


def prompt_rows(normal: Tensor, colour: Tensor) -> Tensor:
    """Two (7, T, C) tables of prompt features -> (10, T, C)."""
    rows = list(PROMPT_ROWS)
    return torch.cat([normal[rows], colour[rows]])


def both_halves(conditional: Tensor, unconditional: Tensor | None = None) -> Tensor:
    """(10, ...) -> (20, ...): per domain, five unconditional items, then five conditional ones.

    Without `unconditional` that half is zero, all of it.
    """
    other = torch.zeros_like(conditional) if unconditional is None else unconditional
    pair = torch.stack([other.unflatten(0, (DOMAINS, -1)), conditional.unflatten(0, (DOMAINS, -1))], 1)
    return pair.flatten(0, 2)


def normalised_tokens(tokens: Tensor) -> Tensor:
    """Image tokens taken before the encoder's last norm -> layer norm without weights, eps 1e-5, float32."""
    return torch.nn.functional.layer_norm(tokens.float(), tokens.shape[-1:], eps=1e-5)
