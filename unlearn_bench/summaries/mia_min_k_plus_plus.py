"""Membership by Min-K++, Min-K normalised over the vocabulary: does it tell forget rows from others?

    mia_min_k_plus_plus = AUC = P(`min_k_plus_plus` of a holdout row > that of a forget row),   ties count half

Zhang et al. (arXiv 2404.02936); conventions of open-unlearning (arXiv 2506.12618): 1 where members
show, 0.5 where they do not differ from the holdout rows, which is not what a retrained model gives (TOFU: 0.31 to
0.56). MUSE's own code turns the AUC round. In [0, 1]; the oracle's is the aim. Interval: DeLong's, over clusters.
"""

from unlearn_bench.summaries.membership import membership

SUMMARY = membership("mia_min_k_plus_plus", "min_k_plus_plus")
