"""Text and video placeholder to token ids, the way each of the two judges was trained.

The sentencepiece library is used directly: transformers' LLaMA tokenizer splits runs of spaces
differently from the one that the judges were trained with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sentencepiece

from phybench.errors import ConfigError

MEDIA = -2
"""Id that stands for one place of the video."""
VIDEO = "<|video|>"
_SPACE = "▁"
_TURNS = re.compile("(AI: |\nHuman: )")


@dataclass(frozen=True, slots=True)
class Cut:
    """Ids that may have been cut at a limit.

    Args:
        ids: The ids.
        cut: Whether something is missing at the end.
    """

    ids: list[int]
    cut: bool


class OwlTokenizer:
    """LLaMA's sentencepiece model with the judges' rules for pieces of text.

    Args:
        path: The checkpoint's ``tokenizer.model``.
        media_tokens: Places that a video takes.
        bos: Id put once in front of every prompt.

    Raises:
        ConfigError: If the file is no sentencepiece model with LLaMA's pieces.
    """

    def __init__(self, path: Path, *, media_tokens: int, bos: int) -> None:
        try:
            self._model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"Cannot read {path} as a sentencepiece model: {error}.") from error
        self._media = [MEDIA] * media_tokens
        self._bos = bos
        self._special = {self._model.unk_id(), self._model.bos_id(), self._model.eos_id()}
        space = self._piece(_SPACE)
        if space is None:
            raise ConfigError(f"Expected {path} to have the piece {_SPACE!r}, but it has none.")
        self.space_id = space

    def encode_turns_whole(self, prompt: str) -> list[int]:
        """Split at the video only (VideoPhy2-AutoEval); each text piece gets its dummy space.

        Only the first placeholder is the video: one in a user's caption stays text.
        """
        before, after = prompt.split(VIDEO, 1)
        return [self._bos, *self._model.encode(before), *self._media, *self._model.encode(after)]

    def encode_turns_split(self, prompt: str, limit: int) -> Cut:
        """Split also at the speakers' marks and cut at a limit (VideoCon-Physics).

        Args:
            prompt: Text with the video placeholder.
            limit: Most ids.
        """
        before, after = prompt.split(VIDEO, 1)
        ids = [self._bos, *self._encode_turns(before), *self._media, *self._encode_turns(after)]
        return Cut(ids[:limit], len(ids) > limit)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without the special ones."""
        text: str = self._model.decode([token for token in ids if token not in self._special])
        return text

    def answer_ids(self, answer: str) -> tuple[list[int], list[int]]:
        """Ids that begin an answer of one sign: at once, and after a bare space piece.

        The prompts end with a space, and the model may or may not repeat it before the digit.

        Raises:
            ConfigError: If the tokenizer does not write the answer as one piece.
        """
        bare = self._piece(answer)
        if bare is None:
            bare = self._piece(f"<0x{ord(answer):02X}>")
        if bare is None:
            raise ConfigError(
                f"Expected the tokenizer to have a piece for {answer!r}; it has none."
            )
        joined = self._piece(_SPACE + answer)
        return ([bare] if joined is None else [bare, joined]), [bare]

    def first_id(self, word: str) -> int:
        """First id of a word with its dummy space."""
        return int(self._model.encode(word)[0])

    def _encode_turns(self, text: str) -> list[int]:
        pieces = filter(None, _TURNS.split(text))
        return [token for piece in pieces for token in self._model.encode(piece)]

    def _piece(self, piece: str) -> int | None:
        token = int(self._model.piece_to_id(piece))
        return None if token == self._model.unk_id() else token
