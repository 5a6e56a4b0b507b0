"""Vision-language models as judges, hosted or local."""
