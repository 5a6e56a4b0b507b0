"""TODO tests/judges"""
