"""Membership by the loss over the length of the compressed answer: does it tell forget rows from others?

    mia_zlib = AUC = P(`loss_zlib` of a holdout row > that of a forget row),   ties count half

Carlini et al. (arXiv 2012.07805); conventions of open-unlearning (arXiv 2506.12618): 1 where members
show, 0.5 where they do not differ from the holdout rows, which is not what a retrained model gives (TOFU: 0.31 to
0.56). MUSE's own code turns the AUC round. In [0, 1]; the oracle's is the aim. Interval: DeLong's, over clusters.
"""

from unlearn_bench.summaries.membership import membership

SUMMARY = membership("mia_zlib", "loss_zlib")
