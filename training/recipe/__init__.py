"""What a training is told: its recipe."""
