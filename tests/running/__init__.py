"""TODO tests/running"""
