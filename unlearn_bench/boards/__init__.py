"""Boards: files of results that answer the same questions, verified from their samples, ranked, never rewritten."""
