"""A generator and a judge that do as they are told."""

from __future__ import annotations

import threading

import numpy as np

from phybench.plugins.contracts import (
    LIKERT,
    Failure,
    Frames,
    PluginInfo,
    Score,
    VideoSettings,
)
from phybench.plugins.opened import Opened
from phybench.plugins.spec import PluginSpec
from phybench.training.stage2.reward import (
    RewardRules,
)

END = 2


class Painter:
    """Makes a clip whose brightness is the text's length; counts its clips."""

    def __init__(self):
        self.seen = []
        self.release = threading.Event()
        self.info = PluginInfo(
            name="painter", revision="1", licence="Apache-2.0", fingerprint={"v": 1}, max_batch=4
        )

    def generate(self, requests):
        return [self._clip(request) for request in requests]

    def _clip(self, request):
        self.seen.append((request.text, request.seed))
        if "refuse" in request.text:
            return Failure("refusal", "I do not draw this.")
        if "hang" in request.text:
            self.release.wait(30)
        return Frames(np.full((2, 16, 16, 3), len(request.text) % 256, np.uint8), fps=8)


class Rater:
    """SA from the prompt's length, PC from what the clip's own words say."""

    def __init__(self, name="rater", scale=LIKERT):
        self.seen = []
        self.info = PluginInfo(
            name=name,
            revision="1",
            licence="Apache-2.0",
            fingerprint={"name": name},
            scale=scale,
        )

    def score(self, requests):
        self.seen += requests
        return [self._score(request) for request in requests]

    def _score(self, request):
        if "explode" in request.prompt:
            raise RuntimeError("judge 503")
        if "strange" in request.prompt:
            return Score.unscored("nothing to see")
        low, high = self.info.scale.low, self.info.scale.high
        return Score(sa=high, pc=low + (high - low) / 2)


def opened(kind, plugin):
    return Opened(kind, PluginSpec(plugin.info.name), plugin, plugin.info)


def rules(**changes):
    values = {
        "schedule": "exponential",
        "alpha": 3.0,
        "unreadable": 0.1,
        "shared_seed": True,
        "seed": 0,
        "settings": VideoSettings(),
        "instructions": "Physics.",
        "max_new_tokens": 500,
        "timeout_s": 20.0,
        "failure_limit": 1.0,
        "scale": LIKERT,
        **changes,
    }
    return RewardRules(**values)
