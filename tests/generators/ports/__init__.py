"""TODO tests/generators/ports"""
