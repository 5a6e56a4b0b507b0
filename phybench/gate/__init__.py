"""Regression and drift checks for CI: a frozen baseline, and tests that know their sample size."""
