"""Which metric can be believed: how well each tells models that know from models that do not, and how it bears stress.

    gather, or plan -> making     models by name, or made: their results
    pool                          the models of a pool with their numbers, KFR and KRR by every rule (`rules`) and way
                                  (`ways`) among them
    evaluate                      the report: which way a metric points (`knowing`), `faithfulness`, `robustness`,
                                  `correlation`
    document, table               what is written; `published` has the figures that others found

To make a pool, a `plan` (`nano_plan`, `smol_plan`) says which models there are, `lessons` what they are taught, and
`teaching` teaches them. The report needs numpy and scipy only.
"""
