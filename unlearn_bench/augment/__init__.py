"""ReLearn's training data: vague, fluent answers to many forms of each forget question (arXiv 2502.11190, section 3).

Four stages: question variants (simple, context, noise, logical), vague answers, content verification with retries,
and diversification (sentence completion, generic data). `pipeline.augment` runs them; a *writer* (rules, an OpenAI-
compatible endpoint, a local model) writes the texts. Where the released code differs on purpose: the original
sensitive pair is never part of the output, variant i is paired with its own answer, a verdict is a field, and what
fails every retry is listed.
"""
