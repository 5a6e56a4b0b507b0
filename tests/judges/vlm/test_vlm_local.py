"""The judge `vlm-local` on a tiny real LLaVA, built here, that writes what a test wants."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tools.models.tiny_vision_models import ANSWERS, make_tokenizer, write_table

from phybench import Clip, ConfigError, Failure, JudgeRequest
from phybench.judges.vlm.local_plugin import VlmLocal
from phybench.video.video_file import write_frames

CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}<go>{% endif %}"
)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    rng = np.random.default_rng(0)
    write_frames(path, rng.integers(0, 255, (6, 32, 32, 3), np.uint8), 4.0)
    return Clip(path, "sha", frames=6, fps=4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    path = tmp_path_factory.mktemp("llava")
    tokenizer = make_tokenizer()
    image = tokenizer.convert_tokens_to_ids("<image>")
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=16,
    )
    text = LlamaConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        vocab_size=len(tokenizer),
        max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=image,
        image_seq_length=4,
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(config).eval()
    write_table(model.model.language_model, model.lm_head.weight, tokenizer)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(path)
    size = {"height": 28, "width": 28}
    processor = LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size=size),
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(path)
    return path


def judged(folder, clip, **options):
    judge = VlmLocal(model=str(folder), frames=3, size=32, **options)
    return judge, judge.score([JudgeRequest(clip, "a ball {falls}")])[0]


def test_greedy_answers_become_scores(folder, clip):
    judge, result = judged(folder, clip)
    assert (result.sa, result.pc, result.reply) == (4, 2, ANSWERS["good"])
    # Three images of four places each are part of the prompt.
    assert result.details["prompt_tokens"] > 12
    assert result.details["completion_tokens"] == 2
    assert judge.info.gpu_gib == 0


@pytest.mark.slow
def test_sampling_follows_the_seed_and_leaves_the_processes_random_state_alone(folder, clip):
    torch.manual_seed(123)
    before = torch.get_rng_state()
    outcomes = []
    for seed in range(12):
        _, result = judged(folder, clip, temperature=1.0, seed=seed)
        _, again = judged(folder, clip, temperature=1.0, seed=seed)
        assert result == again
        outcomes.append(isinstance(result, Failure))
    assert torch.equal(torch.get_rng_state(), before)
    # The other answer, unreadable, has a chance of 1 in 4.
    assert 0 < sum(outcomes) < 12


def test_a_cut_reply_is_a_failure(folder, clip):
    _, result = judged(folder, clip, max_tokens=1)
    assert (result.kind, result.reply) == ("length", ANSWERS["good"])


def test_a_broken_clip_fails_alone(folder, clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    judge = VlmLocal(model=str(folder), frames=2)
    bad, good = judge.score([JudgeRequest(Clip(broken, "b"), "x"), JudgeRequest(clip, "x")])
    assert (bad.kind, good.sa) == ("decode", 4)


def test_sampling_that_only_servers_know_is_refused(folder):
    template = {
        "sampling": {"presence_penalty": 1.5},
        "asks": [
            {"name": "a", "text": "?", "read": "json", "fields": {"sa": "a", "pc": "b"}},
        ],
    }
    with pytest.raises(ConfigError, match="presence_penalty"):
        VlmLocal(model=str(folder), template=template)


def test_an_absent_model_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="no-such-model"):
        VlmLocal(model=str(tmp_path / "no-such-model"))


def test_a_folder_of_another_kind_is_a_config_error(tmp_path, clip):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ConfigError, match="vision-language"):
        VlmLocal(model=str(tmp_path)).score([JudgeRequest(clip, "x")])


def test_describing_the_judge_imports_no_torch(folder):
    code = (
        "import sys; from phybench.judges.vlm.local_plugin import VlmLocal; "
        f"VlmLocal(model={str(folder)!r}).info; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
