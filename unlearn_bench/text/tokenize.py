"""Tokens as the paper's code counts them: NLTK's `word_tokenize` of the lower-cased text, without any download.

    words(text) = Treebank tokens of each Punkt sentence of text.lower()

`word_tokenize` splits sentences first, because the Treebank tokenizer parts only the last full stop of its input from
the word before it. The sentence splitter (Punkt; Kiss & Strunk 2006, Computational Linguistics 32(4)) wants a data file
that is not part of NLTK. On *lower-cased* text very little of that file can matter, so the little is kept here:

- its 156 abbreviations ("dr", "d.c", "st": no sentence ends after them);
- of its orthographic contexts of 20,366 words only 4. After an initial or a number a sentence ends before a
  lower-case word only if that word was seen in lower case at the start of a sentence and never in upper case;
- not its sentence starters (looked up for capitalised words only), and not its collocations, whose only effect is to
  forbid a sentence end after an initial or a number, where the second rule forbids it already.

So the tokens are identical with and without the data file. Where NLTK finds its own `punkt_tab`, that is used, and
`name` (a hash of what can matter, equal where the tokens are) goes into the scorer fingerprint; `source` says which.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from unlearn_bench.text.light_nltk import light_nltk

# Learned by Punkt from the Wall Street Journal part of the Penn Treebank (NLTK data, punkt_tab/english).
_ABBREVIATIONS = frozenset(
    """a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v calif chg cie co col
    colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j feb fla fri ft g g.d g.f g.k ga gen h
    h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj
    messrs mg mich minn mr mrs ms n n.c n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof
    r r.a r.h r.i r.j r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn tues u.k
    u.n u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr""".split()  # noqa: SIM905
) | {". . "}
_STARTS_IN_LOWER_CASE = frozenset({"administrators", "b-week", "r-revised", "z-holiday"})


VERSION = 1  # raise it with any change that moves a token: see evidence/versions.py


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer in use.

    Attributes:
        name: Equal where the tokens are equal; part of the scorer fingerprint.
        source: "punkt_tab" (the data NLTK found) or "built-in".
        split: Lower-cased text to tokens.
    """

    name: str
    source: str
    split: Callable[[str], list[str]]


@lru_cache(maxsize=2048)  # several scorers ask for the tokens of the same answer
def words(text: str) -> tuple[str, ...]:
    """Lower-case tokens of a text, punctuation included.

    >>> words("Dr. Li lives in Washington D.C. today. She writes.")
    ('dr.', 'li', 'lives', 'in', 'washington', 'd.c.', 'today', '.', 'she', 'writes', '.')
    """
    return tuple(tokenizer().split(text.lower()))


@cache
def tokenizer(*, builtin: bool = False) -> Tokenizer:
    """The tokenizer of this machine; `builtin` ignores data that NLTK may find."""
    with light_nltk():
        from nltk.tokenize.punkt import PunktSentenceTokenizer

        parameters = None if builtin else _installed()
        source = "built-in" if parameters is None else "punkt_tab"
        parameters = _embedded() if parameters is None else parameters
        return Tokenizer(f"punkt-english-{_digest(parameters)}", source, _splitter(PunktSentenceTokenizer(parameters)))


def _splitter(sentences: object) -> Callable[[str], list[str]]:
    from nltk.tokenize.destructive import NLTKWordTokenizer

    treebank = NLTKWordTokenizer()

    def split(text: str) -> list[str]:
        return [token for sentence in sentences.tokenize(text) for token in treebank.tokenize(sentence)]

    return split


def _embedded() -> object:
    from nltk.tokenize.punkt import _ORTHO_BEG_LC, PunktParameters

    parameters = PunktParameters()
    parameters.abbrev_types = set(_ABBREVIATIONS)
    for word in _STARTS_IN_LOWER_CASE:
        parameters.add_ortho_context(word, _ORTHO_BEG_LC)
    return parameters


def _installed() -> object | None:
    from nltk.tokenize.punkt import PunktTokenizer

    try:
        return PunktTokenizer("english")._params
    except LookupError:  # no data: the normal case
        return None


def _digest(parameters: object) -> str:
    """Hash of the parameters that can move a token of lower-cased text (see the module's docstring)."""
    from nltk.tokenize.punkt import _ORTHO_BEG_LC, _ORTHO_UC

    starts = [w for w, seen in parameters.ortho_context.items() if seen & _ORTHO_BEG_LC and not seen & _ORTHO_UC]
    relevant = "\n".join([*sorted(parameters.abbrev_types), "", *sorted(starts)])
    return hashlib.sha256(relevant.encode()).hexdigest()[:12]
