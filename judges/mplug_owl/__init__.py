"""mPLUG-Owl-Video 7B, the model behind VideoPhy2-AutoEval and VideoCon-Physics.

A composition of transformers' ``LlamaForCausalLM`` and CLIP encoder layers with the two parts that
no library has: the temporal adapter of the vision tower and the visual abstractor. It loads the
published checkpoints unchanged.
"""
