"""Where the sensitive pairs and the generic pairs come from: a data set by name, or a file."""

from pathlib import Path

from unlearn_bench.augment.rows import SensitivePair
from unlearn_bench.data import DATASETS, default_split, load
from unlearn_bench.data.pairs import Pair, pairs_of, read_pairs, read_records
from unlearn_bench.errors import UserError

GENERIC_FILE = Path(__file__).parent / "data" / "generic.jsonl"


def read_sources(
    dataset: str, *, split: str | None = None, data_dir: str | None = None, revision: str | None = None
) -> list[SensitivePair]:
    """The pairs of a data set or file.

    Args:
        dataset: A data set's name, alone or with a split ("tofu:forget05"), or a file that `pairs` reads.
        split: Of a data set; the one to be forgotten by default.
        data_dir: A folder with the data sets, in place of the hub.
        revision: The hub's commit.

    Raises:
        UserError: if neither exists, or a row is not a pair (file and row are named).
    """
    path = Path(dataset).expanduser()
    name, _, own = dataset.partition(":")
    if name not in DATASETS.names():
        if not path.is_file():
            known = ", ".join(DATASETS.names())
            raise UserError(f"--dataset {dataset}: no such data set or file", hint=f"data sets: {known}; or a file")
        for flag, given in (("--split", split), ("--data-dir", data_dir), ("--data-revision", revision)):
            if given:
                raise UserError(f"{flag} {given}: --dataset {dataset} is a file", hint=f"leave out {flag}")
        return _from_file(path)
    if own and split and own != split:
        raise UserError(f"--dataset {dataset} and --split {split} name two splits", hint="leave out --split")
    split = own or split or default_split(name, "forget")
    rows = load(name, split, data_dir=data_dir, revision=revision).rows
    return [
        SensitivePair(
            row.id,
            row.question,
            row.answer,
            (row.paraphrased_question,) if row.paraphrased_question else (),
            row.cluster,
        )
        for row in rows
    ]


def _from_file(path: Path) -> list[SensitivePair]:
    sources: dict[str, SensitivePair] = {}
    for pair in read_pairs(path):
        if pair.id in sources:
            raise UserError(
                f"{pair.where}: the id {pair.id!r} occurs twice", hint="ids must differ; without ids rows are numbered"
            )
        _check_pair(pair)
        asked = (pair.paraphrase,) if pair.paraphrase else ()
        sources[pair.id] = SensitivePair(pair.id, pair.question, pair.answer, asked)
    if not sources:
        raise UserError(f"{path}: no rows in it")
    return list(sources.values())


def _check_pair(pair: Pair) -> None:
    """Refuse rows that are not a question with its answer, and rows that are already augmented."""
    if pair.raw:
        raise UserError(
            f"{pair.where}: raw text asks nothing; augment wants questions with their answers",
            hint="forget raw text with `train --method npo+gdr --forget FILE`",
        )
    if pair.earlier:
        raise UserError(
            f"{pair.where}: a conversation of several turns; augment wants one question with its answer",
            hint="write what was said before into the question, or forget it with `train --method npo+gdr`",
        )
    if pair.augmented:
        raise UserError(f"{pair.where}: this row was written by augment", hint="name the file of the sensitive pairs")


def read_generic(path: Path = GENERIC_FILE) -> list[tuple[str, str]]:
    """Question-answer pairs of a file: the built-in ones, or the user's.

    A record may have several `questions` for its `answer`; each makes a pair.

    Raises:
        UserError: if a row is not a pair.
    """
    pairs: list[tuple[str, str]] = []
    for number, (where, record) in enumerate(read_records(path), start=1):
        several = record.pop("questions", None)
        several = several if isinstance(several, list) else None
        for question in [None] if several is None else several:
            asked = record if question is None else {**record, "question": question}
            found = pairs_of(asked, where, number)
            for pair in found:
                _check_pair(pair)
            pairs += [(pair.question, pair.answer) for pair in found]
    if not pairs:
        raise UserError(f"{path}: no rows in it")
    return pairs
