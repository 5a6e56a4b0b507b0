"""What a clip costs on each of the paper's generators: seconds, memory, share of the ceiling.

Weights are random but of real size, which gives true times and memory; pixels mean nothing. The
pipelines are those of the plugins, set up by the same code. CogVideoX's text encoder is replaced by
one layer of its width, since it runs once per clip and takes a tenth of a second.

    python benchmarks/bench_generators.py --models cogvideox lavie --profiles exact compiled fast
    python benchmarks/bench_generators.py --size tiny --device cpu        # that the script works
    python benchmarks/bench_generators.py --work-only                     # PFLOP per clip, no GPU
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tools.models.pipelines.cogvideox import cogvideox
from tools.models.pipelines.encoders import clip_encoder, sd_vae
from tools.models.pipelines.tokenizers import t5_tokenizer
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import tools.models.original_names as names
from tools.models.random_weights import random_tensors

from phybench.generators.diffusers.load import LoadPlan, prepare_pipeline
from phybench.generators.diffusers.model_card import load_card
from phybench.generators.ports.lavie import model as lavie
from phybench.generators.ports.videocrafter2 import model as vc2
from phybench.generators.ports.videocrafter2.key_map import TEXT, UNET, VAE
from phybench.generators.ports.videocrafter2.sampler import ddim_schedule

CHANNELS = (320, 640, 1280, 1280)
ATTENDS = (True, True, True, False)
COGVIDEOX = {
    # README and config.json of the two checkpoints: layers, heads of 64 channels, positions.
    "cogvideox": {"num_layers": 30, "num_attention_heads": 30},
    "cogvideox-5b": {
        "num_layers": 42,
        "num_attention_heads": 48,
        "use_rotary_positional_embeddings": True,
    },
}
MODELS = (*COGVIDEOX, "videocrafter2", "lavie")
PORT_SHAPE = (1, 4, 16, 40, 64)  # latents of 16 frames of 320×512


@dataclass(frozen=True)
class Timing:
    """One row of the table: median seconds per clip, peak memory in GiB, work in PFLOP."""

    model: str
    profile: str
    seconds: float
    peak_gib: float
    pflop: float


@contextmanager
def on(device: str, dtype: torch.dtype) -> Iterator[None]:
    """Build modules directly on a device in a precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def build_cogvideox(name: str, device: str) -> Any:
    """The real pipeline with random weights; its text encoder has one layer."""
    import diffusers
    from transformers import T5Config, T5EncoderModel

    dtype = getattr(torch, load_card(name).dtype["default"])
    with on(device, dtype):
        transformer = diffusers.CogVideoXTransformer3DModel(**COGVIDEOX[name])
        vae = diffusers.AutoencoderKLCogVideoX()
        config = T5Config(d_model=4096, d_ff=64, num_layers=1, num_heads=64, vocab_size=256)
        text = T5EncoderModel(config)
    return diffusers.CogVideoXPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=text.eval(),
        vae=vae.eval(),
        transformer=transformer.eval(),
        scheduler=diffusers.CogVideoXDDIMScheduler(timestep_spacing="trailing"),
    )


def cogvideox_clip(name: str, args: argparse.Namespace, profile: str) -> Callable[[int], Any]:
    """A function that makes one clip as the plugin does."""
    card = load_card(name)
    pipe = cogvideox() if args.size == "tiny" else build_cogvideox(name, args.device)
    plan = LoadPlan(
        folder=Path(),
        adapter=None,
        dtype=card.dtype,
        device=args.device,
        offload="none",
        vae_tiling=card.vae_tiling,
        profile=profile,
        guidance=None,
        scheduler_config={},
    )
    loaded = prepare_pipeline(pipe, card, plan)
    size = (16, 16, 9) if args.size == "tiny" else (card.native.height, card.native.width, 49)
    call = {**card.call, "height": size[0], "width": size[1], "num_frames": size[2]}
    call["num_inference_steps"] = args.steps or call["num_inference_steps"]

    def clip(seed: int) -> Any:
        generator = torch.Generator("cpu").manual_seed(seed)
        return loaded.pipe(prompt="a ball falls", generator=generator, output_type="np", **call)

    return clip


def real_state_vc2() -> dict[str, Any]:
    """A state dict of real size with random values."""
    return {
        **random_tensors(names.vc2_unet(CHANNELS, 2, ATTENDS, 64, 1024), UNET),
        **random_tensors(names.ldm_vae((128, 256, 512, 512), 2), VAE),
        **random_tensors(names.openclip_text(1024, 24, 49408), TEXT),
    }


def videocrafter2_clip(args: argparse.Namespace) -> Callable[[int], Any]:
    """A function that makes one clip as the plugin does, in the published float32."""
    state, shape = real_state_vc2(), PORT_SHAPE
    if args.size == "tiny":
        from test_videocrafter2 import random_state

        state, shape = random_state(), (1, 4, 3, 4, 4)
    networks = vc2.networks_from(state)
    dtype = getattr(torch, args.port_dtype)
    for network in (networks.unet, networks.vae, networks.text):
        network.to(args.device, dtype)
    schedule = ddim_schedule(args.steps or 50, 1.0)
    ids = torch.zeros(2, 77, dtype=torch.long, device=args.device)

    def clip(seed: int) -> Any:
        generator = torch.Generator("cpu").manual_seed(seed)
        noise = (
            torch.randn(shape, generator=generator).to(args.device, dtype) for _ in range(2000)
        )
        with torch.inference_mode():
            texts = networks.encode_text(ids)
            latents = networks.sample(next(noise), noise, texts, 28, 12.0, schedule)
            return networks.decode(latents).float().cpu()

    return clip


SD_UNET = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
    "block_out_channels": CHANNELS,
    "norm_num_groups": 32,
}


def lavie_clip(args: argparse.Namespace) -> Callable[[int], Any]:
    """A function that makes one clip as the plugin does."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel

    tensors, config, shape, width = {}, SD_UNET, PORT_SHAPE, 768
    if args.size == "tiny":
        from test_lavie import config as tiny_config
        from test_lavie import random_unet

        tensors, config, shape, width = random_unet(), tiny_config((64, 64), 2, 1, 8), None, 8
    else:
        tensors = random_tensors(names.lavie_unet(CHANNELS, 2, 8, 768))
    shape = shape or (1, 4, 3, 4, 4)
    unet, layout = lavie.load_lavie_unet(tensors, config)
    vae = (
        sd_vae()
        if width == 8
        else diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
        )
    )
    text = (
        clip_encoder()
        if width == 8
        else CLIPTextModel(
            CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12)
        )
    )
    networks = lavie.LaVieNetworks(unet, layout, vae.eval(), text.eval())
    dtype = getattr(torch, args.port_dtype)
    lavie.move(networks, args.device, dtype)
    ids = torch.zeros(2, 77, dtype=torch.long, device=args.device)

    def clip(seed: int) -> Any:
        generator = torch.Generator("cpu").manual_seed(seed)
        scheduler = lavie.make_scheduler("ddpm", args.steps or 50)
        with torch.inference_mode():
            texts = networks.encode_text(ids)
            latents = networks.sample(shape, texts, 7.5, scheduler, generator)
            return networks.decode(latents).float().cpu()

    return clip


def denoiser_pflop(model: str, steps: int) -> float:
    """Multiply-adds of all denoiser passes of one real-size clip, counted on the meta device."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        if model in COGVIDEOX:
            _cogvideox_pass(model)
        elif model == "videocrafter2":
            tensors = {n: torch.empty(s) for n, s in names.vc2_unet(CHANNELS, 2, ATTENDS, 64, 1024)}
            networks = vc2.VideoCrafter2Networks(vc2.load_crafter_unet(tensors), None, None)
            text = torch.empty(1, 77, 1024)
            networks.predict_noise(torch.empty(PORT_SHAPE), torch.ones(1), torch.ones(1), text)
        else:
            tensors = {n: torch.empty(s) for n, s in names.lavie_unet(CHANNELS, 2, 8, 768)}
            networks = lavie.LaVieNetworks(*lavie.load_lavie_unet(tensors, SD_UNET), None, None)
            networks.predict_noise(torch.empty(PORT_SHAPE), torch.ones(()), torch.empty(1, 77, 768))
    return counter.get_total_flops() * 2 * steps / 1e15  # two passes per step: guidance


def _cogvideox_pass(model: str) -> None:
    import diffusers

    transformer = diffusers.CogVideoXTransformer3DModel(**COGVIDEOX[model])
    rotary = None
    if "use_rotary_positional_embeddings" in COGVIDEOX[model]:
        rotary = (torch.empty(13 * 30 * 45, 64), torch.empty(13 * 30 * 45, 64))
    transformer(
        torch.empty(1, 13, 16, 60, 90),
        torch.empty(1, 226, 4096),
        torch.ones(1),
        image_rotary_emb=rotary,
    )


def measure(model: str, profile: str, args: argparse.Namespace) -> Timing:
    """Warm up once, then take the median of several clips."""
    clip = {
        "videocrafter2": lambda: videocrafter2_clip(args),
        "lavie": lambda: lavie_clip(args),
    }.get(model, lambda: cogvideox_clip(model, args, profile))()
    cuda = args.device.startswith("cuda")
    clip(0)
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for seed in range(1, args.clips + 1):
        begin = time.perf_counter()
        clip(seed)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    pflop = 0.0 if args.size == "tiny" else denoiser_pflop(model, args.steps or 50)
    return Timing(model, profile, statistics.median(seconds), peak, pflop)


def show(rows: list[Timing], ceiling_tflops: float) -> None:
    """Print the table as Markdown."""
    print("| model | profile | s/clip | peak GiB | PFLOP | share of the ceiling |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        share = f"{row.pflop * 1e3 / row.seconds / ceiling_tflops:.0%}" if row.pflop else "–"
        print(
            f"| {row.model} | {row.profile} | {row.seconds:.2f} | {row.peak_gib:.1f} | "
            f"{row.pflop:.2f} | {share} |"
        )


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument(
        "--profiles", nargs="+", default=["exact"], choices=["exact", "compiled", "fast", "fp8"]
    )
    parser.add_argument("--size", choices=["real", "tiny"], default="real")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--port-dtype", default="float32", help="VideoCrafter2's and LaVie's")
    parser.add_argument("--steps", type=int, help="default: published")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument(
        "--ceiling-tflops",
        type=float,
        default=790.0,
        help="what a large bf16 matrix product reaches on this GPU",
    )
    parser.add_argument("--work-only", action="store_true", help="count PFLOP per clip and stop")
    args = parser.parse_args()
    if args.work_only:
        for model in args.models:
            print(f"{model}: {denoiser_pflop(model, args.steps or 50):.2f} PFLOP per clip")
        return
    rows = [
        measure(model, profile, args)
        for model in args.models
        for profile in (args.profiles if model in COGVIDEOX else ["exact"])
    ]
    show(rows, args.ceiling_tflops)


if __name__ == "__main__":
    main()
