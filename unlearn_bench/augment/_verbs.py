"""English verb forms, as far as turning "does she write" into "she writes" needs them."""

import re

AUXILIARIES = frozenset(
    "is are was were has have had does do did can could will would should may might must".split()  # noqa: SIM905
)
BE = frozenset(("is", "are", "was", "were"))
HAVE = frozenset(("has", "have", "had"))
DO = frozenset(("does", "do", "did"))

# base, past, participle
_IRREGULAR = {
    base: (past, participle)
    for base, past, participle in (
        line.split()
        for line in """be was been
become became become
begin began begun
bear bore born
break broke broken
bring brought brought
build built built
buy bought bought
choose chose chosen
come came come
cost cost cost
cut cut cut
deal dealt dealt
do did done
draw drew drawn
drive drove driven
earn earned earned
eat ate eaten
fall fell fallen
feel felt felt
find found found
forget forgot forgotten
get got got
give gave given
go went gone
grow grew grown
have had had
hear heard heard
hold held held
keep kept kept
know knew known
lead led led
learn learned learned
leave left left
lose lost lost
make made made
mean meant meant
meet met met
overcome overcame overcome
pay paid paid
put put put
read read read
rise rose risen
run ran run
say said said
see saw seen
sell sold sold
send sent sent
set set set
show showed shown
sing sang sung
speak spoke spoken
spend spent spent
stand stood stood
take took taken
teach taught taught
tell told told
think thought thought
understand understood understood
wear wore worn
win won won
withdraw withdrew withdrawn
write wrote written""".splitlines()
    )
}
# Base forms that may follow a long subject; where none is found, the question is not taken apart.
VERBS = frozenset(_IRREGULAR) | frozenset(
    """achieve acquire add affect aim align allow appear apply approach arrive balance belong capture change
    collaborate collapse collect combine compare connect consist contain contribute convey create define depend
    depict describe develop die differ discuss employ encourage engage enjoy enrich ensure enter establish
    evolve exist expand explain explore express fail feature follow handle happen help highlight impact include
    incorporate influence inform inspire integrate interact introduce join keep like live look manage manifest
    mention mirror move need occur offer operate own perceive plan play portray prefer present prevent produce
    promote publish raise react receive recommend reflect relate remain represent reside resonate respond reveal
    serve shape start study suggest support tackle talk translate treat use want weave work""".split()  # noqa: SIM905
)
_PARTICIPLES = frozenset(participle for _, participle in _IRREGULAR.values())
_DOUBLED = re.compile(r"(?:stop|plan|admit|refer|prefer|commit|occur|submit|transfer)$")


def third_person(verb: str) -> str:
    """Present form after he, she or it.

    >>> [third_person(v) for v in ("write", "study", "teach", "have", "play")]
    ['writes', 'studies', 'teaches', 'has', 'plays']
    """
    if verb in ("have", "be"):
        return {"have": "has", "be": "is"}[verb]
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def past(verb: str) -> str:
    """Simple past.

    >>> [past(v) for v in ("write", "study", "live", "prefer", "play")]
    ['wrote', 'studied', 'lived', 'preferred', 'played']
    """
    if verb in _IRREGULAR:
        return _IRREGULAR[verb][0]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + (verb[-1] if _DOUBLED.search(verb) else "") + "ed"


def is_participle(word: str) -> bool:
    """Whether a word can follow "has" or "was" as a participle.

    >>> is_participle("written"), is_participle("influenced"), is_participle("house")
    (True, True, False)
    """
    return word in _PARTICIPLES or (word.endswith("ed") and len(word) > 4)
