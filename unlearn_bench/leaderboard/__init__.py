"""Results that others can trust and check: boards, verification, the regression gate, comparison, report, export.

Nothing here imports torch. A board is one JSON file; `submit` is the only writer, `verify` recomputes what a result
claims, `check` judges a checkpoint against a baseline, `compare` sets results side by side, `report` draws the site.
"""
