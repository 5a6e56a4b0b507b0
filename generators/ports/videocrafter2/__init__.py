"""VideoCrafter2 from its public file, composed of diffusers' and transformers' modules."""
