"""Boards and results for readers: a web page, Markdown, CSV, LaTeX, and the formats of other catalogues."""
