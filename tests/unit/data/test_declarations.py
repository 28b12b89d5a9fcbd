"""What each dataset declares: splits with roles, defaults, where it comes from; read with and without importing it."""

import subprocess
import sys

import pytest

from unlearn_bench.data import DATASETS, Declaration, asked_split, default_split, hub_id, load, splits_of
from unlearn_bench.errors import UserError
from unlearn_bench.hashing import sha256_json
from unlearn_bench.schema import Row
from unlearn_bench.site.export import hub_dataset


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_declaration_is_whole(name):
    declared = DATASETS.get(name)
    assert "forget" in declared.defaults
    assert "retain" in declared.defaults or "retain" not in declared.splits.values()
    assert declared.licence
    assert (declared.hub is None) == (name in ("nano", "smol", "lume", "rtofu"))


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_declaration_is_literal(name):
    """`--help` names splits and defaults without importing the dataset."""
    declared, literal = DATASETS.get(name), DATASETS.declared(name)
    assert literal["splits"] == declared.splits
    assert literal["defaults"] == declared.defaults


def test_what_is_declared_is_read_without_pydantic():
    code = (
        "import sys\n"
        "from unlearn_bench.data import DATASETS\n"
        "assert DATASETS.declared('tofu')['defaults']['forget'] == 'forget10'\n"
        "assert DATASETS.summary('tofu').startswith('TOFU')\n"
        "sys.exit({'pydantic', 'numpy', 'datasets'} & set(sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "split"), [("tofu", "forget01"), ("tofu", "real_authors"), ("tofu", "world_facts"), ("knowundo", "retain")]
)
def test_rows_have_the_role_of_their_split(shared_data, name, split):
    rows = load(name, split, data_dir=str(shared_data)).rows
    assert {row.role for row in rows} == {DATASETS.get(name).splits[split]}


@pytest.mark.parametrize(
    ("name", "role", "split"),
    [
        ("tofu", "forget", "forget10"),
        ("tofu", "retain", "retain90"),
        ("knowundo", "forget", "forget_train"),
        ("nano", "holdout", "holdout"),
    ],
)
def test_a_role_has_a_default(name, role, split):
    assert default_split(name, role) == split


def test_a_role_without_a_default_says_so():
    with pytest.raises(UserError, match="dataset tofu declares no fluency set"):
        default_split("tofu", "fluency")
    with pytest.raises(UserError, match="did you mean tofu"):
        default_split("tofo", "forget")


def test_a_default_is_a_split_of_its_role():
    with pytest.raises(ValueError, match="'b', is not a split of that role"):
        Declaration(load=load, splits={"a": "forget", "b": "retain"}, defaults={"forget": "b"})


@pytest.mark.parametrize(
    ("name", "split", "chosen", "asked"),
    [
        ("tofu", "forget10", "forget01", "forget01"),
        ("tofu", "forget10", None, "forget10"),
        ("tofu", "retain", "forget01", "retain"),
        ("tofu", "forget10", "retain90", "forget10"),
        ("nano", "forget", "forget01", "forget"),
        ("knowundo", "forget", "forget_train", "forget_train"),
    ],
)
def test_a_forget_set_takes_the_place_of_a_forget_set(name, split, chosen, asked):
    assert asked_split(name, split, chosen) == asked


def test_the_hub_id_is_the_declared_one():
    assert hub_id("tofu") == "locuslab/TOFU"
    assert hub_id("nano") is None
    assert hub_id("no-such-dataset") is None
    assert splits_of("no-such-dataset", "forget") == []
    assert hub_dataset.__module__.endswith("export")


def test_later_fields_of_a_row_are_hashed_only_where_they_are_set():
    plain = Row(id="1", role="forget", question="q", answer="a")
    assert set(plain.model_dump()) & {"choices", "gold", "kind", "aliases", "prefill"} == set()
    asked = Row(id="1", role="forget", question="q", answer="a", choices=["a", "b"], gold=0)
    assert asked.model_dump()["gold"] == 0
    assert sha256_json(plain) != sha256_json(asked)
    # the hash that version 0.1 published
    assert load("nano", "forget").info().sha256 == "da202bb5d45f58c01a4e647a25a78f40169aa55caf4c1140fe68c95d065d8303"


def test_the_right_option_is_one_of_the_options():
    with pytest.raises(ValueError, match="gold is 2, and there are 2 choices"):
        Row(id="1", role="forget", question="q", answer="a", choices=["a", "b"], gold=2)
