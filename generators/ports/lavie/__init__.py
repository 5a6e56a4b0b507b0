"""LaVie's base text-to-video model on diffusers' Stable Diffusion modules."""
