"""Physics chains of thought: made, checked and kept apart from the test prompts."""
