"""Agreement with the original implementation, on outputs that it has computed.

The material is not part of the repository; without it these tests are skipped.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache

import pytest
from tools.places import SHARED

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from phybench import Clip, JudgeRequest
from phybench.judges.mplug_owl.dialogue import Dialogue
from phybench.judges.mplug_owl.files import Published, find_files
from phybench.judges.mplug_owl.frames import (
    frame_indices,
    normalise,
    read_clip,
)
from phybench.judges.mplug_owl.tokens import OwlTokenizer
from phybench.judges.mplug_owl.weights import build_model, read_tensors
from phybench.judges.ratings.rating_text import first_key
from phybench.judges.videocon import VideoCon
from phybench.judges.videophy2 import VideoPhy2

ROOT = SHARED / "parity/videophy2_auto"
pytestmark = pytest.mark.skipif(
    not ROOT.is_dir(), reason="outputs of the original (../shared/parity/videophy2_auto) absent"
)
CAPTION = "A player lunges to reach a low shot, reaching the shuttlecock with their racquet."
RULE = "The shuttlecock changes direction after it is hit."
WOOD = "A carpenter pulls apart two glued pieces of wood."


@cache
def facts():
    return json.loads((ROOT / "expected.json").read_text())


@cache
def tensors():
    from safetensors.torch import load_file

    return load_file(ROOT / "expected.safetensors")


@cache
def files():
    return find_files(str(ROOT / "checkpoint"), Published("", 0, ""))


@cache
def tokenizer():
    return OwlTokenizer(files().tokenizer, media_tokens=65, bos=1)


@cache
def model(dtype=torch.float32):
    torch.set_num_threads(1)
    return build_model(files().config, read_tensors(files().weights), device="cpu", dtype=dtype)


@cache
def pixels():
    """The formula of the material's README, from the low-resolution field."""
    seed = tensors()["seed_field"]
    upsampled = seed.repeat_interleave(14, 3).repeat_interleave(14, 4)
    ramp = torch.arange(224) / 223 - 0.5
    wave = 0.3 * torch.sin(0.9 * torch.arange(224.0))
    return upsampled + 0.7 * ramp[None, :] * ramp[:, None] + wave[None, :]


@cache
def media(dtype=torch.float32):
    with torch.inference_mode():
        clip = normalise(read_clip(ROOT / "videos/racquet.mp4", 224)).to(dtype)
        return model(dtype).encode(clip[None])


def clip(name):
    return Clip(ROOT / f"videos/{name}.mp4", name, frames=61)


def close(actual, name, tolerance):
    torch.testing.assert_close(actual, tensors()[name], atol=tolerance, rtol=0)


@torch.inference_mode()
def test_vision_tower():
    states = model().vision(pixels())
    close(states[:, :, :8], "vision_last_hidden_state_first8tok", 2e-6)
    close(states.mean(2), "vision_last_hidden_state_mean_tok", 2e-6)
    # The model does not use its pooled output: the normalised mean of the class tokens.
    pooled = model().vision.post_layernorm(states[:, :, 0].mean(1))
    close(pooled, "vision_pooler", 2e-6)
    image = model().vision(pixels()[:1, :, :1])
    close(image[:, :, :8], "vision_image_last_hidden_state_first8tok", 2e-6)


@torch.inference_mode()
def test_abstractor():
    close(model().encode(pixels()), "abstractor_last_hidden_state", 1e-3)


def test_frame_indices():
    for key, expected in facts()["frame_index_table"].items():
        total, wanted = map(int, key.split("->"))
        assert frame_indices(total, wanted) == expected


@pytest.mark.parametrize("name", ["racquet", "chisel"])
def test_frames_are_bit_equal_and_normalised_alike(name):
    frames = read_clip(ROOT / f"videos/{name}.mp4", 224)
    assert hashlib.sha256(frames.tobytes()).hexdigest() == facts()["preprocess"][name]["u8_sha256"]
    values = normalise(frames)
    close(values[tensors()[f"pre_{name}_sample_index"].unbind(1)], f"pre_{name}_sample_value", 1e-5)
    close(values.mean((2, 3)), f"pre_{name}_frame_mean", 1e-4)
    close(values.std((2, 3)), f"pre_{name}_frame_std", 1e-4)
    thumbs = torch.nn.functional.avg_pool2d(values[:, ::4].transpose(0, 1), 14)
    close(thumbs.half(), f"pre_{name}_thumb16", 2e-3)


@pytest.mark.parametrize("name", ["sa", "pc", "rule", "videocon_sa", "videocon_pc"])
def test_prompts_tokenise_as_the_original_splits_them(name):
    prompt = facts()["prompts"][name]
    assert tokenizer().encode_turns_whole(prompt["text"]) == prompt["tiny_ids_media_split"]


def test_videocon_splits_turns_and_pads_to_its_limit():
    for row, name in zip(tensors()["videocon_input_ids"].tolist(), ("sa", "pc"), strict=True):
        text = facts()["prompts"][f"videocon_{name}"]["text"]
        ids = tokenizer().encode_turns_split(text, 361).ids
        assert ids + [0] * (361 - len(ids)) == row


@torch.inference_mode()
@pytest.mark.parametrize("name", ["sa", "pc", "rule"])
def test_logits(name):
    ids = torch.tensor([facts()["prompts"][name]["tiny_ids_media_split"]])
    scores = model().logits(ids, media())[0]
    close(scores[-4:], f"logits_{name}_last4", 1e-3)
    agreement = (scores.argmax(1) == tensors()[f"logits_{name}_argmax_all"]).float().mean()
    assert agreement >= 0.99
    rounded = model(torch.bfloat16).logits(ids, media(torch.bfloat16))[0]
    close(rounded[-4:], f"logits_{name}_last4_bf16", 1.0)


@torch.inference_mode()
def test_greedy_replies():
    names = ("sa", "pc", "rule")
    prompts = [tokenizer().encode_turns_whole(facts()["prompts"][name]["text"]) for name in names]
    dialogue = Dialogue(model(), space_id=tokenizer().space_id, eos_id=2)
    written = dialogue.write(dialogue.ask(media(), [prompts]), 255)
    for reply, name in zip(written, names, strict=True):
        expected = facts()["generate"][name]
        assert list(reply.ids[:39]) == expected["ids_fp32_first40"][1:40]
        assert len(reply.ids) == expected["n_ids_fp32"] - 1
        assert tokenizer().decode(reply.ids).startswith(expected["text_first"].strip())


def test_faithful_scores_are_the_originals():
    judge = VideoPhy2(model=str(ROOT / "checkpoint"), reading="faithful")
    (score,) = judge.score([JudgeRequest(clip("racquet"), CAPTION, (RULE,))])
    expected = [facts()["generate"][name]["score_rule"] for name in ("sa", "pc", "rule")]
    assert [score.sa, score.pc, *score.rules] == expected
    # Random weights write nonsense, so the published reader misread all three.
    assert score.details["misread"] == ["sa", "pc", "rule 0"]


def test_the_faithful_reader():
    for text, expected in facts()["score_parser_table"].items():
        assert first_key(text) == expected, text


@pytest.mark.parametrize("reading", ["strict", "faithful"])
def test_videocon_probabilities(reading):
    judge = VideoCon(model=str(ROOT / "checkpoint"), reading=reading)
    (score,) = judge.score([JudgeRequest(clip("racquet"), WOOD)])
    assert [score.sa, score.pc] == pytest.approx(facts()["videocon"]["entail"], abs=1e-4)


@torch.inference_mode()
def test_videocon_logits():
    prompts = [
        tokenizer().encode_turns_split(facts()["prompts"][name]["text"], 361).ids
        for name in ("videocon_sa", "videocon_pc")
    ]
    dialogue = Dialogue(model(), space_id=tokenizer().space_id, eos_id=2)
    close(dialogue.ask(media(), [prompts]).now, "videocon_logits_at_last_token", 1e-3)
    assert tokenizer().first_id("Yes") == facts()["videocon"]["yes_id_tiny"]
    assert tokenizer().first_id("No") == facts()["videocon"]["no_id_tiny"]
