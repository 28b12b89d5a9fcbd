"""Intervals, paired tests and power over (clustered) questions."""
