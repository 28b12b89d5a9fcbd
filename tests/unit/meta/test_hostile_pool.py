"""A pool's folder that was broken, edited, made otherwise, or holds what is somebody else's."""

import json

import pytest

from tests.unit.meta.pools import written_pool
from unlearn_bench.cli import main
from unlearn_bench.errors import UserError
from unlearn_bench.meta import making, nano_plan, ways
from unlearn_bench.meta.gather import PoolSpec, gather

PUPILS = [one for one in nano_plan.PLAN.pupils(3, 3, (0,)) if one.side == "positive"][:1]


def a_pool(folder, limit=4):
    return making.Pool(nano_plan.PLAN, folder, limit=limit)


def made(pool):
    """A model that is there, as far as `finished` looks."""
    folder = pool.folder_of(PUPILS[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").touch()
    record = {"identity": PUPILS[0].identity(pool.settings), "settings": pool.settings}
    (folder / making.MADE_FILE).write_text(json.dumps(record))
    return folder


def test_a_pool_of_other_settings_is_not_replaced(tmp_path):
    made(a_pool(tmp_path))
    a_pool(tmp_path).refuse_other(PUPILS)
    with pytest.raises(UserError, match="--limit 4"):
        a_pool(tmp_path, limit=2).refuse_other(PUPILS)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "table.json").write_text(json.dumps({"pools": {}, "settings": {"limit": 24}}))
    with pytest.raises(UserError, match="--limit 24"):
        a_pool(tmp_path / "new").refuse_other(PUPILS)


def test_a_table_of_methods_is_not_replaced(tmp_path):
    (tmp_path / "table.json").write_text('{"rows": []}')
    with pytest.raises(UserError, match="no table of this command"):
        a_pool(tmp_path).refuse_other(PUPILS)


def test_a_model_that_the_command_did_not_make_is_not_removed(tmp_path, capsys):
    folder = tmp_path / "positive" / PUPILS[0].name
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    assert main(["nano", "meta", "--output", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
    assert (folder / "config.json").exists()


@pytest.mark.parametrize("text", ["[1]", '{"identity": [1]}', "{", "\x00", '{"identity": NaN}'])
def test_a_broken_record_is_no_finished_model(tmp_path, text):
    folder = made(a_pool(tmp_path))
    assert a_pool(tmp_path).finished(PUPILS[0])
    (folder / making.MADE_FILE).write_text(text)
    assert not a_pool(tmp_path).finished(PUPILS[0])


def test_a_model_without_its_result_is_not_finished(tmp_path):
    (made(a_pool(tmp_path)) / "result.json").unlink()
    assert not a_pool(tmp_path).finished(PUPILS[0])


@pytest.mark.parametrize("text", ['{"depth": 5}', '{"depth": {"uds": "x"}}', '{"depth": {"uds": NaN}}', "[]"])
def test_what_diagnostics_saw_is_seen_again_where_it_cannot_be_read(tmp_path, text):
    (tmp_path / making.INSIDE_FILE).write_text(text)
    assert making._seen(tmp_path) == {}


@pytest.mark.parametrize("values", [5, {"demo_kfr/kfr[local]": "x"}, {"demo_kfr/kfr[local]": float("inf")}])
def test_what_a_way_found_is_found_again_where_it_cannot_be_read(tmp_path, monkeypatch, values):
    monkeypatch.setattr(ways, "_fingerprint", lambda way: "made so")
    monkeypatch.setattr(ways, "by_way", lambda samples, names: {"demo_kfr/kfr[local]": 0.1})
    folder = written_pool(tmp_path) / "positive" / "positive-10"
    loaded = making.followed(folder)
    ways.kept(folder, loaded, ["local"])
    kept = json.loads((folder / ways.FILE).read_text())
    kept["local"]["values"] = values
    (folder / ways.FILE).write_text(json.dumps(kept))
    assert ways.kept(folder, loaded, ["local"]) == {"demo_kfr/kfr[local]": 0.1}


def edited(folder, value):
    result = json.loads((folder / "result.json").read_text())
    result["tasks"]["demo_kfr"]["metrics"]["kfr"].update(value=value, ci95=None)
    (folder / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize(
    ("value", "keeps_samples", "words"),
    [(0.5, True, "does not follow from its samples"), (7.0, True, "cannot be true"), (7.0, False, "cannot be true")],
)
def test_an_edited_number_judges_no_metric(tmp_path, value, keeps_samples, words):
    folder = written_pool(tmp_path) / "positive" / "positive-10"
    edited(folder, value)
    if not keeps_samples:
        (folder / "samples.jsonl").unlink()
    sides = {side: [str(tmp_path / side)] for side in ("positive", "negative")}
    with pytest.raises(UserError, match=words):
        gather(PoolSpec(sides))
    with pytest.raises(UserError, match=words) as refused:
        making._member("positive", folder, ())
    assert f"remove {folder}" in refused.value.hint


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    pool = written_pool(tmp_path)
    assert main(["meta", "--positive", str(pool / "positiv"), "--negative", str(pool / "negative")]) == 2
    assert "positiv: no such folder" in capsys.readouterr().err
