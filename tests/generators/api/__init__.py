"""TODO tests/generators/api"""
