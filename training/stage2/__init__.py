"""Stage 2: reinforcement learning from the clips that a text leads to."""
