from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import numpy as np
from phybench.statistics import mcnemar, multiplicity, paired, power, ranks, rates
arms = [np.eye(4), np.ones((4, 4))]
ranks.tie_groups(arms), rates.arm_rate(arms[0]), paired.paired_difference(*arms)
power.minimum_detectable_effect(50, 0.3)
print([name for name in ("scipy", "pandas", "statsmodels") if name in sys.modules])
"""


def test_a_leaderboard_needs_numpy_only() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
