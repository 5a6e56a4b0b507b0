"""A judge, a generator and a look at the trainer, for tests of stage 2."""

from __future__ import annotations

import numpy as np

from phybench.plugins.contracts import Frames, PluginInfo, Score
from phybench.plugins.opened import Opened
from phybench.plugins.spec import PluginSpec

TEN = {"v": 1}


class Plain:
    """Clips that say how long their text is; fast, so that the trainer is what is tested."""

    info = PluginInfo(
        name="plain", revision="1", licence="Apache-2.0", fingerprint=TEN, max_batch=64
    )

    def generate(self, requests):
        return [
            Frames(np.zeros((1, 2, 2, 3), np.uint8), 8, meta={"text": one.text}) for one in requests
        ]


class Words:
    """SA by the number of letters, PC by the ending: a fixed function of the text."""

    info = PluginInfo(
        name="words", revision="1", licence="Apache-2.0", fingerprint=TEN, max_batch=64
    )

    def score(self, requests):
        return [self.rate(one.clip.meta["text"]) for one in requests]

    @staticmethod
    def rate(text):
        return Score(sa=1.0 + len(text) % 5, pc=5.0 if "Gravity" in text else 2.0)


def opened(kind, plugin):
    return Opened(kind, PluginSpec(plugin.info.name), plugin, plugin.info)


def advantages_of(trainer):
    found = []
    inner = trainer._generate_and_score_completions

    def score(inputs):
        made = inner(inputs)
        if trainer.model.training:
            found.append(made["advantages"].tolist())
        return made

    trainer._generate_and_score_completions = score
    return found
