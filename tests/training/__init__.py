"""TODO tests/training"""
