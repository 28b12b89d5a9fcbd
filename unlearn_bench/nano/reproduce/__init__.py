"""The nano table: every method trained from nano-full with several seeds, each checkpoint scored, all in one table.

`plan` says what is run, `cell` runs one row with one seed, `pool` runs many and goes on where a cut run stopped,
`table` makes means and intervals over seeds of them, `scatter` draws forgetting against retaining.
"""
