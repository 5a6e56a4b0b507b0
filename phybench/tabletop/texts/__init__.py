"""Words: how the world reads a prompt, and the prompts it is asked."""
