"""The only place that loads models: the judged one (subject) and the scorers' own (NLI, embedder, reference LM)."""
