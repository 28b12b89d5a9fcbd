"""Abbreviations in addresses: kinds of street, points of the compass, states and countries.

Each notation is written in full: "Ave" is "Avenue", "TX" behind a comma or before a ZIP code is "Texas", "USA" is
"United States". "St" is a street behind a name and a saint before one.
"""

import re

from unlearn_bench.text.numbers import ORDINALS

_KINDS = """street=st str|avenue=ave av aven avn|road=rd|lane=ln|drive=dr drv|boulevard=blvd boul bd|court=ct|place=pl|
square=sq|terrace=ter terr|parkway=pkwy pky|highway=hwy|circle=cir|crescent=cres cr|trail=trl|plaza=plz|alley=aly|
crossing=xing|turnpike=tpke|expressway=expy|gardens=gdns|heights=hts|way=wy|village=vlg|park|row|hill|close|quay|station|
bridge|path|mews|ridge=rdg|valley=vly|field|fields=flds|forge|walk|garden|freeway=fwy|loop|point=pt|center=ctr|grove=grv"""
_FULL = {}
for _entry in _KINDS.replace("\n", "").split("|"):
    _name, _, _short = _entry.partition("=")
    _FULL |= dict.fromkeys((_name, *_short.split()), _name.capitalize())
STREETS = "|".join(
    sorted({form for kind in _FULL for form in (kind.capitalize(), kind.upper())}, key=len, reverse=True)
)
_SIDES = {
    "n": "North",
    "s": "South",
    "e": "East",
    "w": "West",
    "ne": "Northeast",
    "nw": "Northwest",
    "se": "Southeast",
    "sw": "Southwest",
}
_ORDINALS = {name: number for name, number in ORDINALS.items() if number <= 20}
_STATES = """AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|
FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine|
MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada|
NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|
OR Oregon|PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|
VA Virginia|WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming"""
_STATE = dict(entry.split(" ", 1) for entry in _STATES.replace("\n", "").split("|"))
_DOTTED = """Calif CA|Mass MA|Conn CT|Penn PA|Tex TX|Fla FL|Ill IL|Mich MI|Minn MN|Wash WA|Ariz AZ|Colo CO|Tenn TN|
Wis WI|Ore OR|Okla OK"""
_DOTTED_STATE = dict(entry.split(" ") for entry in _DOTTED.replace("\n", "").split("|"))
_ABBREVIATED = re.compile(
    r"(?<![\w@.-])(?:(?P<capital>Washington,?\sD\.?\s?C\.?(?![A-Za-z]))"
    r"|(?P<usa>(?:the\s)?(?:U\.\s?S\.(?:\s?A\.?)?|USA?)(?![\w$.-])|United\sStates\sof\sAmerica\b)"
    r"|(?P<uk>(?:the\s)?(?:U\.\s?K\.|UK\b))|(?P<uae>(?:the\s)?(?:U\.A\.E\.|UAE\b))|(?P<eu>(?:the\s)?(?:E\.U\.|EU\b))"
    r"|(?P<ussr>(?:the\s)?(?:U\.S\.S\.R\.|USSR\b))|(?P<nyc>(?:N\.Y\.C\.|NYC\b)|New\sYork,?\s(?:N\.Y\.(?!C)|NY\b))"
    rf"|(?P<saint>St\.?(?=\s[A-Z]))|(?P<mount>Mt\.?(?=\s[A-Z]))|(?P<fort>Ft\.?(?=\s[A-Z]))"
    r"|(?P<street>(?:Ave|Blvd|Rd|Ln|Pkwy|Hwy|Dr|St|Sq|Ct)\b\.?)(?!\s?\d)"
    rf"|(?P<dotted>(?:{'|'.join(_DOTTED_STATE)})\.)"
    rf"|(?P<state>(?:{'|'.join(_STATE)})\b(?!\.)|N\.[YJHMCD]\.|S\.[CD]\.))"
)
_FULL_NAMES = {
    "capital": "Washington DC",
    "usa": "United States",
    "uk": "United Kingdom",
    "uae": "United Arab Emirates",
    "eu": "European Union",
    "ussr": "Soviet Union",
    "nyc": "New York",
    "mount": "Mount",
    "fort": "Fort",
}
_AFTER_NAME = re.compile(r"(?:[A-Z][\w'-]*|\d(?:st|nd|rd|th))\s$")
_ZIP = re.compile(r"[,.]?\s\d{5}(?:-\d{4})?\b")
_SENTENCE_ENDS = re.compile(r"\s+[A-Z]")
_NEXT_NAME = re.compile(r"\.?\s[A-Z][a-z]")


def street_name(name: str, kind: str, side: str | None) -> str:
    """A street's name in full.

    >>> street_name("N. Fifth ", "Ave", None), street_name("Elm ", "St", " NW")
    ('North 5th Avenue', 'Elm Street Northwest')
    """
    words = [_word(word.rstrip(".")) for word in name.split()]
    sides = [_SIDES[side.strip().lower()]] if side and side.strip().lower() in _SIDES else []
    return " ".join([*words, _FULL[kind.lower()], *sides])


def _word(word: str) -> str:
    number = _ORDINALS.get(word.lower())
    if number is not None:
        return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"
    return _SIDES.get(word.lower(), word) if len(word) <= 2 else word.capitalize() if word.isupper() else word


def in_full(text: str) -> str:
    """Write states, countries, saints and kinds of street in full, where it is certain what is meant.

    >>> in_full("He moved from Elm St. in Austin, TX 78701 to St. Louis, USA; Dr. Bo is in Washington, D.C.")
    'He moved from Elm Street in Austin, Texas 78701 to Saint Louis, United States; Dr. Bo is in Washington DC'
    """
    return _ABBREVIATED.sub(_replace, text) if any(c.isupper() for c in text) else text


def _replace(match: re.Match[str]) -> str:
    name = _full(match)
    ends = match.group().endswith(".") and match.lastgroup not in ("saint", "mount", "fort")
    return name + "." if ends and not name.endswith(".") and _SENTENCE_ENDS.match(match.string, match.end()) else name


def _full(match: re.Match[str]) -> str:
    kind, written, text = match.lastgroup, match.group(), match.string
    before = text[max(0, match.start() - 32) : match.start()]
    if kind in ("street", "saint"):
        behind = bool(_AFTER_NAME.search(before)) and not _NEXT_NAME.match(text, match.end())
        if behind:
            return _FULL[written.rstrip(".").lower()]
        return "Saint" if kind == "saint" else written
    if kind in ("state", "dotted"):
        state = _STATE.get(_DOTTED_STATE.get(written.rstrip("."), written.replace(".", "")), written)
        return state if before.endswith(", ") or _ZIP.match(text, match.end()) else written
    return _FULL_NAMES[kind]
