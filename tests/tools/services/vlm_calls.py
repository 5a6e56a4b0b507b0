"""A judge before a fake server."""

from __future__ import annotations

import json

import tools.services.fake_openai as fake
from phybench import JudgeRequest
from phybench.judges.vlm.plugin import Vlm

KEY = "sk-judge-0987654321-secret"


PROMPT = 'a "ball" {rolls} down'


def rating(sa=4, pc=2, **fields):
    answer = {"sa": sa, "pc": pc, "violated_law": "gravity", "reason": "It hovers."}
    return json.dumps({**answer, "assessable": True, **fields})


def judge_for(server, **options):
    return Vlm(**{"model": "fake-model", "base_url": server.url, "attempts": 1, **options})


def judged(script, clip, rules=(), **options):
    actions = script if callable(script) or isinstance(script, list) else [script]
    with fake.FakeOpenAI(actions) as server:
        judge = judge_for(server, **options)
        (result,) = judge.score([JudgeRequest(clip, PROMPT, rules)])
        judge.close()
    return result, server


def inline(**changes):
    ask = {
        "name": "both",
        "text": "Rate {prompt}",
        "read": "json",
        "fields": {"sa": "sa", "pc": "pc", "assessable": "assessable", "reason": "reason"},
    }
    return {
        "media": {"form": "images", "frames": 1},
        "asks": [{**ask, **changes.pop("ask", {})}],
        **changes,
    }
