"""The presets of judge `vlm`: each can be made, and asks what its model was trained to answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tools.services.fake_openai as fake

import phybench.judges
from phybench import Clip, ConfigError, JudgeRequest
from phybench.plugins.registry import create
from phybench.video.video_file import write_frames

PRESETS = sorted(path.stem for path in Path(phybench.judges.__file__).parent.glob("presets/*.yaml"))
NEEDS = {"phyrubric-judge": ",wording={wording},media=images"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    write_frames(path, np.full((4, 32, 32, 3), 90, np.uint8), 4.0)
    return Clip(path, "sha", frames=4, fps=4.0)


@pytest.fixture
def wording(tmp_path):
    path = tmp_path / "question.txt"
    path.write_text("Rate {prompt}.")
    return path


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")


def preset(name, server, wording, options=""):
    needs = NEEDS.get(name, "").format(wording=wording)
    return create("judge", f"{name}:base_url={server.url},attempts=1{needs}{options}")


def judged(name, script, clip, wording, options=""):
    with fake.FakeOpenAI(script) as server:
        judge = preset(name, server, wording, options)
        (result,) = judge.score([JudgeRequest(clip, "a ball {falls}")])
        judge.close()
    return result, server


ANSWERS = {
    "cosmos-reason1": "<think>I look.</think>\n<answer>\n4\n</answer>",
    "cosmos-reason2": "4",
    "phyrubric-judge": json.dumps(
        {"sa_score": 4, "pc_assessable": True, "pc_score": 4, "reason": "0.5 s"}
    ),
    "videoscore2": (
        "It says visual quality: 1; text-to-video alignment: 1; physical/common-sense "
        "consistency: 1 is the form.\nvisual quality: 2;\ntext-to-video alignment: 4;\n"
        "physical/common-sense consistency: 4"
    ),
}
RUBRIC = json.dumps({"sa": 4, "pc": 4, "violated_law": None, "reason": "ok", "assessable": True})


def answering(name):
    def script(body):
        if name != "phyjudge-9b":
            return fake.reply(ANSWERS.get(name, RUBRIC))
        # Its reply has the law's own name as the key.
        text = body["messages"][-1]["content"][-1]["text"]
        return fake.reply(text[text.rindex("{") :].replace("3", "4"))

    return script


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_reads_its_models_reply(name, clip, wording):
    result, server = judged(name, answering(name), clip, wording)
    assert (result.sa, result.pc) == (4, 4)
    for body in server.requests:
        text = body["messages"][-1]["content"][-1]["text"]
        assert "{prompt}" not in text
        assert body["model"]


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_names_licence_and_a_sampling_of_its_own(name, clip, wording):
    _, server = judged(name, answering(name), clip, wording)
    with fake.FakeOpenAI([]) as other:
        assert preset(name, other, wording).info.licence != "the model's or service's own"
    body = server.requests[0]
    if not name.startswith("gpt"):
        # vLLM fills what is not sent from the checkpoint's own configuration.
        assert {"temperature", "top_p", "top_k", "repetition_penalty"} <= set(body)
    else:
        assert "temperature" not in body


def test_phyjudge_asks_sa_and_the_chosen_laws(clip, wording):
    _, server = judged(
        "phyjudge-9b", answering("phyjudge-9b"), clip, wording, ",asks=SA|gravity|buoyancy"
    )
    texts = [body["messages"][-1]["content"][-1]["text"] for body in server.requests]
    assert len(texts) == 3
    (gravity,) = [text for text in texts if "physical law: gravity." in text]
    assert '"a ball {falls}"' in gravity
    assert "Do unsupported objects fall downward?" in gravity
    assert gravity.endswith('Example:\n{"gravity": 3}')
    url = server.requests[0]["messages"][-1]["content"][0]["video_url"]["url"]
    assert url.startswith("data:video/mp4;base64,")
    assert server.requests[0]["chat_template_kwargs"] == {"enable_thinking": False}


def test_phyrubric_needs_its_wording_and_media_from_the_card(wording):
    with pytest.raises(ConfigError, match="wording"):
        create("judge", "phyrubric-judge:media=images")
    with pytest.raises(ConfigError, match="media"):
        create("judge", f"phyrubric-judge:wording={wording}")


def test_phyrubric_without_assessable_physics_is_unscored(clip, wording):
    reply = json.dumps({"sa_score": 4, "pc_assessable": False, "pc_score": None, "reason": "dark"})
    result, _ = judged("phyrubric-judge", [fake.reply(reply)], clip, wording)
    assert (result.sa, result.details["reason"]) == (None, "dark")


def test_a_judge_of_ones_own_is_a_yaml(tmp_path, clip):
    with fake.FakeOpenAI([fake.reply("sa 4 pc 2")]) as server:
        path = tmp_path / "mine.yaml"
        path.write_text(
            f"""
plugin: vlm
options:
  model: mine
  base_url: {server.url}
  template:
    media: {{form: images, frames: 2}}
    asks:
      - name: both
        read: pattern
        pattern: 'sa (?P<a>[1-5]) pc (?P<b>[1-5])'
        fields: {{sa: a, pc: b}}
        text: Rate {{prompt}}.
"""
        )
        judge = create("judge", str(path))
        (result,) = judge.score([JudgeRequest(clip, "a ball")])
        judge.close()
    assert (result.sa, result.pc) == (4, 2)
