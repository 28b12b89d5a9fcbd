"""Known answers for the panel of stresses: planted checkpoints of nano, each caught by the exam made for it.

`plants` makes them, `exam` puts them under stress and compares the verdicts with what is known.
"""
