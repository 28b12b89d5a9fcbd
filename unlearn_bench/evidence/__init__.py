"""What scorers score with: entities, similarity, coverage, inference, perplexity; one file a kind, gathered once."""
