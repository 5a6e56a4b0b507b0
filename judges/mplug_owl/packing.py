"""Laying several questions about a clip behind one another, and taking them apart again.

All questions of a clip are read in one row: each sees the shared prefix and itself, none sees
another. That spends no work on padding, whatever their lengths. For writing the answers, the keys
and values are then gathered into one row per question, padded *between* prefix and question so that
all rows end at the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache


@dataclass(frozen=True, slots=True)
class Packed:
    """Questions of C clips behind a prefix of P tokens, in rows of width W.

    Args:
        ids: Shape (C, W), zeros at the end of shorter rows.
        positions: Shape (C, W): every question continues the prefix.
        visible: Shape (C, 1, W, P + W), bool: what each token sees.
        clips: Shape (R,): the clip of each question.
        ends: Shape (R,): place of each question's last token in its row.
        gather: Shape (R, P + S): places in prefix and row that make up each question's own row.
        mask: Shape (R, P + S), int: 1 where that is no padding.
    """

    ids: Tensor
    positions: Tensor
    visible: Tensor
    clips: Tensor
    ends: Tensor
    gather: Tensor
    mask: Tensor


def pack(questions: Sequence[Sequence[Sequence[int]]], prefix: int, device: torch.device) -> Packed:
    """Lay out the questions of each clip.

    Args:
        questions: For each clip its questions' ids, without the prefix.
        prefix: Tokens of the prefix.
        device: Where the tensors go.
    """
    width = max(sum(map(len, clip)) for clip in questions)
    longest = max(len(question) for clip in questions for question in clip)
    ids = torch.zeros(len(questions), width, dtype=torch.long)
    owner = torch.full((len(questions), width), -1)
    positions = torch.full((len(questions), width), prefix)
    clips, ends, gather, mask = [], [], [], []
    for clip, asked in enumerate(questions):
        start = 0
        for number, question in enumerate(asked):
            stop, padding = start + len(question), longest - len(question)
            ids[clip, start:stop] = torch.tensor(question)
            owner[clip, start:stop] = number
            positions[clip, start:stop] = prefix + torch.arange(len(question))
            clips.append(clip)
            ends.append(stop - 1)
            gather.append([*range(prefix), *[0] * padding, *range(prefix + start, prefix + stop)])
            mask.append([1] * prefix + [0] * padding + [1] * len(question))
            start = stop
    own = (owner[:, :, None] == owner[:, None, :]) & torch.ones(width, width).tril().bool()
    before = torch.ones(len(questions), width, prefix, dtype=torch.bool)
    visible = torch.cat([before, own], dim=2)[:, None]
    lists = (torch.tensor(values, device=device) for values in (clips, ends, gather, mask))
    return Packed(ids.to(device), positions.to(device), visible.to(device), *lists)


def unpack_cache(cache: DynamicCache, packed: Packed) -> DynamicCache:
    """One row of keys and values per question."""
    rows = DynamicCache()
    clips = packed.clips[:, None]
    for number, layer in enumerate(cache.layers):
        states: Any = layer
        keys, values = (
            part.transpose(1, 2)[clips, packed.gather].transpose(1, 2)
            for part in (states.keys, states.values)
        )
        rows.update(keys, values, number)
    return rows
