"""TODO tests/generators/diffusers"""
