"""TODO tests/judges/vlm"""
