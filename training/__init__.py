"""Training: the SFT and curriculum-GRPO recipe that makes a refiner."""
