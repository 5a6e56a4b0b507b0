"""Small real diffusers pipelines with random weights, by family."""
