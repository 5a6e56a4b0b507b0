"""TODO tests/training/stage2"""
