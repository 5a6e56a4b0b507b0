"""What is known of a public checkpoint: native settings, licence, memory, prompt budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phybench.errors import ConfigError

PRESETS = Path(__file__).parents[1] / "presets"
Precision = Literal["float32", "float16", "bfloat16"]


class _Card(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NativeVideo(_Card):
    """The video a model was trained to make.

    Args:
        frames: Number of frames.
        fps: Frames per second.
        width: Pixels.
        height: Pixels.
    """

    frames: int = Field(ge=1)
    fps: float = Field(gt=0)
    width: int = Field(ge=2)
    height: int = Field(ge=2)


class FrameRule(_Card):
    """Frame counts a model can make: ``step * n + offset`` for whole n >= 0, up to ``most``."""

    step: int = Field(default=1, ge=1)
    offset: int = Field(default=0, ge=0)
    most: int | None = None

    def allows(self, frames: int) -> bool:
        """Whether a clip may have this many frames."""
        fits = frames >= max(self.offset, 1) and (frames - self.offset) % self.step == 0
        return fits and (self.most is None or frames <= self.most)

    def text(self) -> str:
        """The rule in words, for error messages."""
        form = f"{self.step}·n+{self.offset}" if self.step > 1 else "any number"
        return form if self.most is None else f"{form}, at most {self.most}"


class SchedulerChoice(_Card):
    """The sampler that replaces the one of the checkpoint.

    Args:
        name: Class in ``diffusers``.
        config: Values that override those of the checkpoint's scheduler.
    """

    name: str
    config: dict[str, Any] = {}


class ModelCard(_Card):
    """Everything a preset fixes, so that no default of a library decides.

    Args:
        pipeline: Class in ``diffusers``.
        model: Hub id in diffusers layout.
        revision: Branch, tag or commit of the hub repository.
        variant: File variant, e.g. ``bf16``.
        adapter: Hub id of a second repository (AnimateDiff's motion adapter).
        licence: Name of the weights' licence.
        licence_note: What it binds a user of phybench to; shown with the licence.
        training_on_outputs: Whether the licence lets clips train another model (a refiner).
        components: Folder of the checkpoint to its size in GB (1e9 bytes); computed from parameter
            counts where the card of the model gives none.
        gpu_gib: GPU memory in GiB for each way of offloading that is known.
        native: The video it was trained to make.
        frames: Frame counts it can make.
        size_multiple: Width and height must be multiples of this.
        budget: Longest prompt in tokens, as the pipeline counts them.
        dtype: Component to precision; ``default`` for the rest.
        scheduler: Sampler to use instead of the checkpoint's, if any.
        guidance: Guidance scale where the pipeline takes it from a guider object.
        call: Further arguments of the pipeline's call, steps and guidance among them.
        negative_prompt: Negative prompt of the model's authors, or ``None`` for none.
        template: How the prompt is wrapped; ``{prompt}`` stands for it.
        vae_tiling: Whether the clip is decoded in tiles.
        min_tile: Smallest [frames, height, width] that the tiled decoder can decode.
    """

    pipeline: str
    model: str
    revision: str = ""
    variant: str = ""
    adapter: str = ""
    licence: str
    licence_note: str = ""
    training_on_outputs: Literal["allowed", "forbidden", "restricted", "unknown"]
    components: dict[str, float]
    gpu_gib: dict[Literal["none", "model", "sequential"], float] = {}
    native: NativeVideo
    frames: FrameRule = FrameRule()
    size_multiple: int = Field(default=8, ge=2)
    budget: int | None = None
    dtype: dict[str, Precision]
    scheduler: SchedulerChoice | None = None
    guidance: float | None = None
    call: dict[str, Any] = {}
    negative_prompt: str | None = None
    template: str = "{prompt}"
    vae_tiling: bool = False
    min_tile: tuple[int, int, int] | None = None

    def terms(self) -> str:
        """The licence's name and what it binds a user to."""
        return f"{self.licence}. {self.licence_note}" if self.licence_note else self.licence

    def memory(self, offload: Literal["none", "model", "sequential"]) -> float:
        """GPU memory in GiB; without a published number, the weights alone as a lower bound."""
        largest = sum if offload == "none" else max
        return self.gpu_gib.get(offload, largest(self.components.values()) * 1e9 / 2**30)


def load_card(preset: str) -> ModelCard:
    """Read the ``card`` of a preset.

    Args:
        preset: Name of a bundled preset, or the path of a yaml file.

    Raises:
        ConfigError: If there is no such preset, it has no card, or the card does not hold.
    """
    import yaml

    path = Path(preset) if preset.endswith(".yaml") else PRESETS / f"{preset}.yaml"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        return ModelCard.model_validate(data["card"])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Cannot read preset {preset!r}: {error}.") from error
    except (KeyError, TypeError) as error:
        raise ConfigError(
            f"Expected preset {preset!r} to have a `card`, but it has none."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"Expected `card.{where}` of preset {preset!r} to be valid, but got "
            f"{first['input']!r}: {first['msg']}."
        ) from error
