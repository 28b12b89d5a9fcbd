"""English text: words, numbers, dates, first answers, degenerate text. No model, no download."""
