"""Friendly words before an answer ("Sure, I'd be happy to help!"): no cut may leave only them."""

# ruff: noqa: RUF001 (typographic characters are what this file handles)

import re

_LONGEST = 80  # words; a longer text is not a preamble
_SENTENCE = re.compile(r"[^.!?:\n]+(?:[.!?:]+|\n|$)")
_OPENER = re.compile(
    r"""(?:
      (?:(?:that(?:'s|\sis)\s)?(?:an?\s)?(?:really\s|very\s)?(?:great|good|excellent|interesting|nice|wonderful|lovely)
         |what\san?\s\w+)\s(?:question|one|choice|topic|point)\b.*
    | (?:sure|certainly|of\scourse|absolutely|definitely|okay|ok|alright|all\sright|gladly|no\sproblem|right|great
         |perfect|hello|hi|hey|good\s(?:morning|day|evening))(?:\s(?:thing|there|again))?
         (?:[\s,–—-]+(?:i|i'd|i'll|i'm|i\scan|let|here|here's|happy|glad|my|this|that|the\sanswer|allow)\b.*)?
    | (?:i'd|i\swould|i'll|i\swill|i'm|i\sam|i\scan|allow\sme|let\sme|let's|happy|glad|my\spleasure)\b
         (?=.*\b(?:happy|glad|delighted|help|assist|answer|tell|share|see|think|explain|pleasure|provide)\b).*
    | yes,?\s(?:of\scourse|sure|certainly)
    | (?:hmm+|well|oh|ah|okay|ok)(?:[\s,]+(?:so|well|of\scourse|sure|certainly|i\sknow\sthis(?:\sone)?))?
    | (?:sure\sthing|no\sworries|you\sbet|you\sgot\sit|(?:with|my)\spleasure|glad\syou\sasked)(?:,?\s\w+)?
    | how\sare\syou\b.*
    | i(?:'d|\swould)\slove\sto(?:\shelp\b.*)?
    | i\sappreciate\s(?:your|the)\squestion
    | (?:that(?:'s|\sis)|what)\san?\s(?:easy|simple|hard|tough|tricky|fun)\s(?:one|question)
    | you(?:'re|\sare)\sasking\b.*
    | (?:excellent|wonderful|amazing|awesome|fantastic)
    | thank(?:s|\syou)\b.*
    | here(?:'s|\sis|\sare)\b.*
    | (?:based\son|according\sto|to\sanswer|in\sresponse\sto|regarding)\b[^:]*:
    | (?:the|my)\s(?:short\s)?answer(?:\sis)?(?:\sas\sfollows)?:?
    | (?:final\s)?answer(?:\s-)?
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def is_preamble(text: str) -> bool:
    """Whether a text holds only friendly words.

    >>> is_preamble("Great question! I'd be happy to help."), is_preamble("Sure, she was born in Oslo.")
    (True, False)
    """
    text = text.strip().replace("’", "'")
    if len(text.split()) > _LONGEST:
        return False
    sentences = [s.strip(" \t\n*_!.,") for s in _SENTENCE.findall(text)]
    return all(_OPENER.fullmatch(sentence) for sentence in sentences if sentence)
