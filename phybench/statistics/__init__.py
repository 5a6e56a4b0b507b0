"""Intervals, paired tests, ranks and power for success rates and mean scores.

Pure functions on NumPy arrays. An arm is an array of shape (P prompts, K seeds) with NaN where
an item was not scored, and the same prompt order for every arm of a comparison. The prompt is the
unit of inference: seeds of one prompt are repeated looks at it, not new evidence of full weight.
"""
