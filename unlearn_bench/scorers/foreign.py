"""Which texts the English rules cannot read: by script, and for European languages by their function words.

    script     more of the letters are of another script than Latin (those of a script without spaces count twice)
    language   function words of one other language, more than of English: three and a fifth of all words, or half of
               them; one is a verb, a pronoun or a question word, which titles rarely have

Names, titles and terms of other languages inside an English text change nothing, nor do very short texts
("Oslo", "Ja."). A row whose question or reference is not English is `LANGUAGE`; an answer that leaves the language of
an English row is `ANSWER`: the English rules score neither, as they would call it forgotten for its words.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from unlearn_bench.schema import Sample
from unlearn_bench.scorers.base import Unscored
from unlearn_bench.text import language

LANGUAGE = Unscored("language_not_supported")
ANSWER = Unscored("answer_in_another_language")

_SPACELESS = frozenset(("CJK", "THAI", "LAO", "KHMER", "MYANMAR"))
_WORDS = {
    "German": """
        der die das und ist nicht wurde einer eine einem einen ein auf mit von zu dem den im sie er sich es ich wir
        für als auch aus bei nach wie oder aber über durch sind hat haben ihre ihr sein seine wo wer welche welcher
        welches heißt geboren
    """,
    "French": """
        le la les des et est dans une un du pour avec qui sur elle il au aux ce cette que ne pas par son sa ses née
        né était été sont où quel quelle comment ils leur l'une s'est d'un d'une
    """,
    "Spanish": """
        el los las una por con que fue en su del es para y un se lo como más pero sus le ya este está son nació
        dónde quién cuál ella él al nació nacido
    """,
    "Italian": """
        il di che della nel per sono è gli una un con non si come del dei delle alla dalla nella anche più nata nato
        dove chi quale ha lo suo sua
    """,
    "Portuguese": """
        o os um uma foi com não é da do dos das em por para que se mais como seu sua ao na no nasceu ela ele onde
        quem qual são
    """,
    "Dutch": """
        het een van op dat zijn aan bij de en is niet met voor te er ook als naar uit door werd haar hij zij waar
        wie welke geboren heeft
    """,
    "Swedish": """
        och är en ett att som på av för med den det inte till hon han var från i om har sig född föddes vid vem
        vilken
    """,
    "Danish or Norwegian": """
        og er en et at som på af av for med den det ikke til hun han var fra i om har sig seg født ved hvor hvem
        hvilken ble blev
    """,
    "Polish": """
        w i na z się do nie jest że to jak od po przez oraz ona był była urodziła urodził gdzie kto który która
    """,
    "Czech": """
        a v na se je že do z s si byl byla v kde kdo který narodila narodil jako pro nebo jeho její
    """,
    "Romanian": """
        și în de la cu este un o pe din care nu ca fost s-a născut unde cine sau pentru
    """,
    "Turkish": """
        ve bir bu için ile olarak da de çok daha olan nerede kim doğdu oldu
    """,
    "Finnish": """
        ja on ei se että hän oli myös kun mutta joka syntyi missä kuka
    """,
    "Hungarian": """
        a az és egy nem hogy is volt született hol ki meg ő
    """,
    "Indonesian or Malay": """
        yang di dan dengan untuk pada adalah ini itu dari dalam ia tidak lahir mana siapa
    """,
    "Vietnamese": """
        và của là trong một được không có cho các sinh ở đâu người
    """,
}
_FUNCTION_WORDS = {language: frozenset(words.split()) for language, words in _WORDS.items()}
# Verbs, pronouns and question words: sentences have one, titles and names rarely.
_TELLING = frozenset(
    """
    ist wurde sind war hat haben sie er ich wir wo wer geboren est sont était été elle il ils née né où qui quel
    es fue era está son nació ella él dónde quién è sono nata nato dove chi quale é foi nasceu ela ele onde quem
    são werd heeft zij hij waar wie zijn är var hon han född föddes vem vilken hun ble blev født hvor hvem jest
    był była ona urodziła urodził gdzie kto je byl byla kde kdo narodil narodila este fost s-a unde cine bir
    olan doğdu nerede kim hän oli syntyi missä kuka volt született ő hol ki adalah ia lahir mana siapa được sinh
    là
    """.split()  # noqa: SIM905
)
# counted for neither side
_SHARED = frozenset("in am a an on no so me do as is was he i over de of at for o la var to".split())  # noqa: SIM905
_QUOTED = re.compile(r"[\"“„«*_][^\"“”„«»*_\n]{1,120}[\"”“»*_]|(?<!\w)['‘][^'’\n]{2,120}['’](?!\w)")  # noqa: RUF001
_DATE_MARKS = re.compile(r"(?<=\d)\s?[年月日]")  # a date, not a language
_MOST_WORDS, _MOST_CHARS = 400, 20_000  # read at most


def unsupported(sample: Sample) -> Unscored | None:
    """Why the English rules cannot judge an answer, or None.

    >>> row = {"id": "1", "task": "t", "split": "forget", "question": "Where was Ann born?", "reference": "In Oslo."}
    >>> unsupported(Sample(**row, response="Ann wurde in einer Stadt am Meer geboren und ist dort nicht geblieben."))
    Unscored(reason='answer_in_another_language')
    """
    if row_is_foreign(sample):
        return LANGUAGE
    return ANSWER if is_foreign(sample.response) else None


def row_is_foreign(sample: Sample) -> bool:
    """Whether a row's question or reference is not English."""
    return is_foreign(sample.question) or is_foreign(sample.reference or "")


def countable(text: str) -> Unscored | None:
    """Why the words of a text cannot be counted, or None: most of its letters are of a script without spaces."""
    letters = [script for c in text[:_MOST_CHARS] if (script := language.script(c))]
    return LANGUAGE if 2 * sum(script in _SPACELESS for script in letters) > len(letters) else None


@lru_cache(maxsize=4096)
def is_foreign(text: str) -> bool:
    """Whether a text is in another language than English, judged by its letters and function words.

    >>> [is_foreign(text) for text in ("王伟出生在成都", "王伟 (Wang Wei) was born in Chengdu.", "Oslo")]
    [True, False, False]
    """
    text = text[:_MOST_CHARS]
    return _other_script(text) or _language_of(_QUOTED.sub(" ", text)) is not None


def _other_script(text: str) -> bool:
    latin = other = 0
    for character in _DATE_MARKS.sub("", text):
        script = language.script(character)
        if script == "LATIN":
            latin += 1
        elif script:
            other += 2 if script in _SPACELESS else 1
    return other > latin


def _language_of(text: str) -> str | None:
    chunks = text.replace("’", "'").split()[:_MOST_WORDS]  # noqa: RUF001
    words = [(word, start) for word, start in _words(chunks) if word]
    english = sum(word.lower() in language.FUNCTION_WORDS and word.lower() not in _SHARED for word, _ in words)
    # inside a sentence, function words have no capital; names and titles do
    plain = [word.lower() for word, start in words if start or word[0].islower()]
    for tongue, known in _FUNCTION_WORDS.items():
        hits = [word for word in plain if word in known and word not in _SHARED]
        many = len(hits) >= 3 and 5 * len(hits) >= len(words)
        most = len(hits) >= 2 and 2 * len(hits) >= len(words)
        if len(hits) > english and len(set(hits)) >= 2 and (many or most) and not _TELLING.isdisjoint(hits):
            return tongue
    return None


def _words(chunks: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Each word without marks, and whether it opens a sentence."""
    opens = True
    for chunk in chunks:
        yield chunk.strip(language.EDGE + "¿¡"), opens
        opens = chunk[-1] in ".!?:"
