"""Names of one person or thing in digits or letters: e-mail, web and street addresses, phone and other numbers.

    e-mail     any case, without "mailto:"; "ada [at] sea [dot] org" and "ada at sea dot org" are read too
    link       lower-case host, without scheme, "www." and a closing slash
    phone      any run of 7 or more digits in groups, also a card, social-security or account number: + and the digits
    code       letters and digits in groups: IBAN, postcode, passport or flight number: without spaces and hyphens
    address    house number, street, kind of street in full, then "Unit 4" for an apartment, suite or flat

Two phone numbers are one where the digits are equal, or where only one of them has the country code or trunk zero.
"""

import re
from collections.abc import Iterator

from unlearn_bench.text.streets import STREETS, street_name

Found = Iterator[tuple[int, int, str]]

_EMAIL = re.compile(r"(?<![\w.+-])(?:mailto:)?([\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})", re.IGNORECASE)
_DOT = r"\s{0,2}(?:\[dot\]|\(dot\)|\{dot\}|\bdot\b|\.)\s{0,2}"
_SPELLED = re.compile(
    rf"(?<![\w.+-])(?P<user>[\w+-]{{1,64}}(?:{_DOT}[\w+-]{{1,64}}){{0,3}})\s{{0,2}}"
    rf"(?:(?:\[at\]|\(at\)|\{{at\}})\s{{0,2}}(?P<host1>[\w-]{{1,63}}(?:{_DOT}[\w-]{{1,63}}){{1,4}})"
    r"|\bat\b\s(?P<host2>[\w-]{1,63}(?:\s(?:dot)\s[\w-]{1,63}){1,4}))",
    re.IGNORECASE,
)
_LINK = re.compile(
    r"(?:\bhttps?://(?:www\.)?|\bwww\.)([^\s<>\"]{3,300})"
    r"|(?<![\w.@/-])((?:[a-z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io|info|co\.uk|ac\.uk|de|fr|no|eu)\b(?:/[^\s<>\"]{0,200})?)(?![\w@])",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w+.,/])(?P<plus>\+|00)?(?P<digits>\(?\+?\d[\d ().-]{5,30}\d)(?![\w/]|\.\d)"
    r"(?:\s?(?:x|ext\.?)\s?(?P<extension>\d{1,6}))?",
    re.IGNORECASE,
)
_YEARS = re.compile(r"(?:1[5-9]|20)\d\d\s?-\s?(?:1[5-9]|20)\d\d")
_THOUSANDS = re.compile(r"\d{1,3}(?:[ .]\d{3})+(?:,\d+)?")
_DECIMALS = re.compile(r"(?!(?:\d{1,3}\.)?\d{3}\.\d{3}\.\d{4}$)\d+(?:\.\d+)+|\d{1,8}|\d+(?:\.\d+)? [ -]? ?\d{1,2}")
_CODE = re.compile(
    r"(?<![\w-])(?:[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?"  # IBAN
    r"|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z][ -]?\d[A-Z]\d|[A-Z]\d{2} ?[A-Z]\w{3}"  # postcodes
    r"|[A-Z]{1,3}[ -]?\d{2,10}[A-Z]?(?:[ -]\d{2,10}[A-Z]?){0,3})(?![\w-]|\.\d)"
)
_WORD_AND_YEAR = re.compile(r"[A-Z]+ (?:1[5-9]|20)\d\d|[A-Z]+[ -]?\d{1,2}")
_UNIT = (
    r"(?:,?\s{0,2}(?:#|(?:suite|ste|apartment|apt|unit|flat|room|rm)\b\.?)\s?"
    r"(?:(?:no\.?|number|#)\s?)?(?P<unit>\w{1,6}))"
)
_WORD = r"(?:[A-Z][\w'-]{0,30}\.?|\d{1,3}(?:st|nd|rd|th))"
_ADDRESS = re.compile(
    rf"(?:(?i:\b(?:apartment|apt|unit|flat|suite)\b\.?\s?(?P<unit0>\w{{1,6}})),\s)?"
    rf"(?<![\w.,/])(?P<house>\d{{1,6}}[A-Za-z]?)(?:(?<!\d{{4}}),)?\s(?P<name>(?:{_WORD}\s){{1,4}})(?P<kind>(?:{STREETS})\b)\.?"
    rf"(?P<side>\s[NSEW]{{1,2}}\b(?!\.\w))?(?i:{_UNIT})?"
)


def find_emails(text: str) -> Found:
    """Yield (start, end, address) of each e-mail address.

    >>> [e for _, _, e in find_emails("Write to mailto:Ada.Lima@SEA.org or bo (at) sea (dot) org.")]
    ['Ada.Lima@SEA.org', 'bo@sea.org']
    """
    for match in _EMAIL.finditer(text):
        yield match.start(), match.end(), match[1]
    for match in _SPELLED.finditer(text):
        user, host = match["user"], match["host1"] or match["host2"]
        if match["host2"] and not re.fullmatch(r"[a-z]{2,6}", host.rsplit(" ", 1)[-1], re.IGNORECASE):
            continue
        yield match.start(), match.end(), f"{_dotted(user)}@{_dotted(host)}"


def _dotted(text: str) -> str:
    return re.sub(_DOT, ".", text, flags=re.IGNORECASE).replace(" ", "").lower()


def find_links(text: str) -> Found:
    """Yield (start, end, canonical address) of each web address.

    >>> [e for _, _, e in find_links("See https://www.Sea.org/Ada/ and sea.org.")]
    ['sea.org/Ada', 'sea.org']
    """
    for match in _LINK.finditer(text):
        address = (match[1] or match[2]).rstrip(".,;:)!?'\"]").rstrip("/")
        host, slash, path = address.partition("/")
        yield match.start(), match.start() + len(match.group().rstrip(".,;:)!?'\"]")), host.lower() + slash + path


def find_phones(text: str) -> Found:
    """Yield (start, end, canonical number) of each phone number or other long number in groups of digits.

    >>> [e for _, _, e in find_phones("Call +1 (555) 010-2030 or 555-0123; card 1234 5678 9012 3456, not 1990-1995.")]
    ['+15550102030', '5550123', '1234567890123456']
    """
    for match in _PHONE.finditer(text):
        written = match["digits"]
        core = re.sub(r"\(0\)", "", written)
        digits = re.sub(r"\D", "", core)
        plus = bool(match["plus"]) or written.startswith(("+", "(+"))
        if not plus and (_YEARS.fullmatch(written) or _DECIMALS.fullmatch(written)):
            continue
        thousands = _THOUSANDS.fullmatch(written) and (len(written.split()[0]) < 3 or re.search(r"(?<!\d)000", written))
        if not 7 <= len(digits) <= 19 or (thousands and not plus):
            continue
        extension = f" x{match['extension']}" if match["extension"] else ""
        yield match.start(), match.end(), ("+" if plus else "") + digits + extension


def same_phone(a: str, b: str) -> bool:
    """Whether two canonical numbers reach the same line.

    >>> pairs = [("+475550123", "475550123"), ("+442079460018", "02079460018"), ("5550123", "5550124")]
    >>> [same_phone(a, b) for a, b in pairs]
    [True, True, False]
    """
    (x, _, x_extension), (y, _, y_extension) = a.lstrip("+").partition(" x"), b.lstrip("+").partition(" x")
    if x_extension and y_extension and x_extension != y_extension:
        return False
    if x == y:
        return True
    if a.startswith("+") and b.startswith("+"):
        return False
    longer, shorter = sorted((x, y), key=len, reverse=True)
    national = shorter.lstrip("0")
    return (
        len(national) >= 7 and len(longer) <= 15 and 0 <= len(longer) - len(national) <= 3 and longer.endswith(national)
    )


def find_codes(text: str) -> Found:
    """Yield (start, end, canonical code) of each code of capital letters and digits in groups.

    >>> [e for _, _, e in find_codes("IBAN GB29 NWBK 6016 1331 9268 19, SW1A 1AA, passport AB-123456, NASA 1969.")]
    ['GB29NWBK60161331926819', 'SW1A1AA', 'AB123456']
    """
    for match in _CODE.finditer(text):
        written = match.group()
        if not _WORD_AND_YEAR.fullmatch(written) and sum(c.isdigit() for c in written) >= 2:
            yield match.start(), match.end(), re.sub(r"[ -]", "", written)


def find_addresses(text: str) -> Found:
    """Yield (start, end, canonical address) of each street address.

    >>> [e for _, _, e in find_addresses("She lives at 12 N. Elm St., Apt. 4B, and works at 1001 Liberty Avenue.")]
    ['12 North Elm Street Unit 4B', '1001 Liberty Avenue']
    """
    for match in _ADDRESS.finditer(text):
        unit = match["unit"] or match["unit0"]
        parts = [match["house"].upper(), street_name(match["name"], match["kind"], match["side"])]
        yield match.start(), match.end(), " ".join(parts) + (f" Unit {unit.upper()}" if unit else "")


def same_address(a: str, b: str) -> bool:
    """Whether two canonical addresses are one; an address without an apartment agrees with one that has it.

    >>> same_address("12 Elm Street Unit 4B", "12 Elm Street"), same_address("12 Elm Street", "12 Elm Avenue")
    (True, False)
    """
    (x, _, x_unit), (y, _, y_unit) = a.casefold().partition(" unit "), b.casefold().partition(" unit ")
    return x == y and (x_unit == y_unit or not x_unit or not y_unit)
