"""TODO tests/generators"""
