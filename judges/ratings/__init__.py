"""Ratings in replies of judges."""
