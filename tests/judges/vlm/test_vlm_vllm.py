"""The judge `vlm` against vLLM's own server, with a tiny Idefics3 that looks at real frames.

LLaVA and Qwen-VL import torchvision, which has no build for torch's CPU release; Idefics3 does not.

    tox -e vllm
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("vllm", reason="vLLM is not installed; run `tox -e vllm`")

from tools.models.tiny_vision_models import ANSWERS, GO, make_tokenizer, write_table
from tools.services.vllm_server import served

from phybench import Clip, Failure, JudgeRequest, Score
from phybench.judges.vlm.local_plugin import VlmLocal
from phybench.judges.vlm.plugin import Vlm
from phybench.video.video_file import write_frames

pytestmark = pytest.mark.extended

CHAT = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}{% if add_generation_prompt %}" + GO + "{% endif %}"
)
MARKS = ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>")
SIDE, PATCH, SHUFFLE = 32, 8, 2


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import (
        Idefics3ImageProcessorPil,
    )

    path = tmp_path_factory.mktemp("idefics3")
    tokenizer = make_tokenizer(*MARKS)
    # vLLM's attention on a CPU wants heads of 32 and more.
    sizes = {
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {
        **sizes,
        "model_type": "llama",
        "num_key_value_heads": 2,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": 8192,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(
        Idefics3Config(
            vision_config={**sizes, "image_size": SIDE, "patch_size": PATCH},
            text_config=text,
            image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
            scale_factor=SHUFFLE,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=False,
        )
    ).eval()
    write_table(model.model.text_model, model.lm_head.weight, tokenizer)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(path)
    edge = {"longest_edge": SIDE}
    images = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    places = (SIDE // PATCH // SHUFFLE) ** 2
    Idefics3Processor(images, tokenizer, places, chat_template=CHAT).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    """The address of a vLLM server."""
    log = tmp_path_factory.mktemp("server") / "log.txt"
    named = ("--served-model-name", "tiny", "--dtype", "float32")
    limits = ("--max-model-len", "4096", "--limit-mm-per-prompt", '{"image": 16}')
    with served(checkpoint, log, *named, *limits) as address:
        yield f"{address}/v1"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    rng = np.random.default_rng(0)
    write_frames(path, rng.integers(0, 255, (6, 32, 32, 3), np.uint8), 4.0)
    return Clip(path, "sha", frames=6, fps=4.0)


def judged(server, clip, **options):
    judge = Vlm(
        model="tiny", base_url=server, frames=3, size=SIDE, timeout_s=300, attempts=1, **options
    )
    (result,) = judge.score([JudgeRequest(clip, "a ball {falls}")])
    judge.close()
    return result


def test_frames_are_judged_as_in_process(server, checkpoint, clip):
    served = judged(server, clip, structured=False)
    local = VlmLocal(model=str(checkpoint), frames=3, size=SIDE)
    (own,) = local.score([JudgeRequest(clip, "a ball {falls}")])
    assert (served.sa, served.pc, served.reply) == (4, 2, ANSWERS["good"])
    assert (own.sa, own.pc, own.reply) == (served.sa, served.pc, served.reply)
    # The same chat template, images and their places on both ways.
    tokens = ("prompt_tokens", "completion_tokens")
    assert [own.details[name] for name in tokens] == [served.details[name] for name in tokens]


def test_a_cut_reply_is_a_failure(server, clip):
    result = judged(server, clip, structured=False, max_tokens=1)
    assert (result.kind, result.reply) == ("length", ANSWERS["good"])


def test_the_schema_is_enforced_where_the_model_would_not_follow_it(server, clip):
    """One reply in four is prose; with the schema none can be."""
    free = judged(server, clip, structured=False, samples=24, temperature=1.0)
    held = judged(server, clip, samples=24, temperature=1.0)
    assert isinstance(free, Score)
    assert 0 < len(free.details["asks"]["rubric"]["failed"]) < 24
    assert held.details["asks"]["rubric"]["failed"] == []


def test_samples_repeat_with_the_seed(server, clip):
    options = {"structured": False, "samples": 8, "temperature": 1.0}
    first, again = (judged(server, clip, seed=5, **options) for _ in range(2))
    other = judged(server, clip, seed=50, **options)
    assert first.reply == again.reply
    assert first.reply != other.reply


def test_a_server_that_takes_no_frames_with_times_says_how_it_would(server, clip):
    result = judged(server, clip, media="frames")
    assert isinstance(result, Failure)
    assert (result.kind, result.retryable) == ("request", False)
    assert "--trust-request-mm-kwargs" in result.message


def test_before_a_run_the_server_is_asked_for_its_models(server):
    assert Vlm(model="tiny", base_url=server).check(plan=None) == []
    (problem,) = Vlm(model="large", base_url=server).check(plan=None)
    assert "tiny" in problem
