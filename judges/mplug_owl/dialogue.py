"""Asking a clip several questions at once: shared prefix, packed questions, greedy answers.

All questions of a clip begin with the same words and the video. Their keys and values are computed
once per clip and reused, and no question's result depends on what else is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from .model import OwlModel
from .packing import pack, unpack_cache
from .tokens import MEDIA

Choices = Mapping[str, tuple[Sequence[int], Sequence[int]]]
"""Answer -> ids that begin it at once, ids that begin it after a bare space piece."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions after one forward pass; rows are all clips' questions in order.

    Args:
        cache: Keys and values of prefix, question and the space tried after it.
        mask: Shape (R, cache length): what a row may see.
        now: Shape (R, vocabulary), float32: scores of the next token.
        after_space: Likewise, had the next token been the bare space piece.
    """

    cache: DynamicCache
    mask: Tensor
    now: Tensor
    after_space: Tensor


@dataclass(frozen=True, slots=True)
class Written:
    """A generated answer.

    Args:
        ids: Generated ids without the end mark.
        finished: Whether the end mark came within the limit.
    """

    ids: tuple[int, ...]
    finished: bool


class Dialogue:
    """Puts questions to a loaded model.

    Args:
        model: The model.
        space_id: The tokenizer's bare space piece.
        eos_id: The end mark.
    """

    def __init__(self, model: OwlModel, *, space_id: int, eos_id: int) -> None:
        self._model = model
        self._space = space_id
        self._eos = eos_id

    @torch.inference_mode()
    def ask(self, media: Tensor, questions: Sequence[Sequence[Sequence[int]]]) -> Asked:
        """Put each clip's questions.

        The bare space piece is tried after every question in the same pass, because most answers
        begin with it and the others' probabilities need it.

        Args:
            media: Embeddings of the clips, shape (C, media tokens, width).
            questions: For each clip the ids of its prompts, with the video's places.
        """
        prefix, rests = _split(questions)
        cache = self._read_prefix(prefix, media)
        tried = [[[*rest, self._space] for rest in clip] for clip in rests]
        packed = pack(tried, len(prefix), media.device)
        hidden = self._forward(
            self._model.embed(packed.ids), packed.visible, packed.positions, cache
        )
        ends = torch.stack([packed.ends - 1, packed.ends], dim=1)
        last = hidden[packed.clips[:, None], ends]
        now, after = self._model.language.lm_head(last).float().unbind(1)
        return Asked(unpack_cache(cache, packed), packed.mask, now, after)

    def probabilities(self, asked: Asked, row: int, choices: Choices) -> dict[str, float]:
        """How likely a reply begins with each choice, over both ways to write it."""
        now, after = asked.now[row].softmax(0), asked.after_space[row].softmax(0)
        space = float(now[self._space])
        return {
            answer: float(now[list(first)].sum()) + space * float(after[list(second)].sum())
            for answer, (first, second) in choices.items()
        }

    @torch.inference_mode()
    def write(self, asked: Asked, limit: int) -> list[Written]:
        """Write each row's answer greedily; the cache is used up.

        Args:
            asked: Questions that :meth:`ask` has read.
            limit: Most new tokens, ≥ 1.
        """
        state = _Rows(asked, self._space, self._eos, limit)
        while state.open:
            mask, positions, tokens = state.next_inputs()
            hidden = self._forward(self._model.embed(tokens), mask, positions, asked.cache)
            best = self._model.language.lm_head(hidden[:, -1]).argmax(1)
            state.append(best.tolist())
        return state.written()

    def _read_prefix(self, prefix: Sequence[int], media: Tensor) -> DynamicCache:
        cache = DynamicCache(config=self._model.language.config)
        ids = torch.tensor(prefix, device=media.device).expand(len(media), -1)
        positions = torch.arange(len(prefix), device=media.device).expand(len(media), -1)
        embeddings = self._model.embed(ids, media)
        self._forward(embeddings, torch.ones_like(ids), positions, cache)
        return cache

    def _forward(
        self, embeddings: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache
    ) -> Tensor:
        output = self._model.language.model(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden


class _Rows:
    """Book-keeping of rows that are still being written."""

    def __init__(self, asked: Asked, space: int, eos: int, limit: int) -> None:
        self._cache, self._mask, self._eos, self._limit = asked.cache, asked.mask, eos, limit
        begun_with_space = asked.now.argmax(1) == space
        # Where the tried space is not what the model writes, nothing may see it.
        self._mask[:, -1] = begun_with_space.long()
        firsts, seconds = asked.now.argmax(1).tolist(), asked.after_space.argmax(1).tolist()
        self._ids = [
            [first, second] if first == space and limit > 1 else [first]
            for first, second in zip(firsts, seconds, strict=True)
        ]
        self._numbers = list(range(len(firsts)))
        self._drop_ended()

    @property
    def open(self) -> bool:
        return bool(self._numbers)

    def next_inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Mask, positions and tokens of the next step."""
        device = self._mask.device
        tokens = torch.tensor([[self._ids[row][-1]] for row in self._numbers], device=device)
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        return self._mask, self._mask.sum(1, keepdim=True) - 1, tokens

    def append(self, tokens: Sequence[int]) -> None:
        for row, token in zip(self._numbers, tokens, strict=True):
            self._ids[row].append(token)
        self._drop_ended()

    def written(self) -> list[Written]:
        ended = [ids[-1] == self._eos for ids in self._ids]
        return [
            Written(tuple(ids[:-1] if end else ids), end)
            for ids, end in zip(self._ids, ended, strict=True)
        ]

    def _drop_ended(self) -> None:
        keep = [place for place, row in enumerate(self._numbers) if not self._ended(row)]
        if len(keep) == len(self._numbers):
            return
        self._numbers = [self._numbers[place] for place in keep]
        chosen = torch.tensor(keep, dtype=torch.long, device=self._mask.device)
        self._mask = self._mask[chosen]
        if keep:
            self._cache.batch_select_indices(chosen)

    def _ended(self, row: int) -> bool:
        return self._ids[row][-1] == self._eos or len(self._ids[row]) >= self._limit


def _split(
    questions: Sequence[Sequence[Sequence[int]]],
) -> tuple[list[int], list[list[list[int]]]]:
    """The prefix that all prompts share, the video included, and the rest of each."""
    prompts = [list(ids) for clip in questions for ids in clip]
    # At least one token must be left of each, to ask for the next.
    longest = min(len(ids) for ids in prompts) - 1
    differing = (n for n in range(longest) if len({ids[n] for ids in prompts}) > 1)
    length = next(differing, longest)
    prefix = prompts[0][:length]
    if MEDIA in prompts[0][length:] or MEDIA not in prefix:
        raise ValueError("Expected all prompts to share the text before the video and the video.")
    return prefix, [[list(ids[length:]) for ids in clip] for clip in questions]
