"""Look inside a checkpoint: how it forgot, as numbers with intervals and as plots.

token_distribution (what it would say), logit_lens (where the answer forms, what is left of it), circuits (where the
answer flows from), depth (what patching its states into the original model destroys), weights (what the update moved).
`diagnose.diagnose` runs them over a set of rows; the formulas are pure functions in the file of their name.
"""
