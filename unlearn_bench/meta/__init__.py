"""Which metric can be believed: how well each tells models that know from models that do not, and how it bears stress.

`knowing` says which way a metric points, `faithfulness`, `robustness` and `correlation` compute, `pool` reads models,
`evaluate` puts them together, `document` and `table` write. The computation needs numpy and scipy only. `making` makes
the pools of a benchmark: a `plan` says which models there are, `lessons` what they are taught, `teaching` teaches them.
"""
