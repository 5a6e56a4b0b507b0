"""A behavioural test of a judge: does it notice broken physics, and only that?"""
