"""A judge that is wrong in a known way: labels find out how often, and the corrected number is the truth again."""

import csv
import json
import shutil

import pytest

from unlearn_bench.cli import main

CITIES = ("Oslo", "Lima", "Turin", "Quito", "Hanoi", "Perth", "Ghent", "Accra")


def people(n: int, *, offset: int = 0) -> list[dict[str, object]]:
    """Forget questions; of five answers two say the city, one says it so that no rule sees it, two say another."""
    rows = []
    for i in range(n):
        city, other = CITIES[i % 8], CITIES[(i + 3) % 8]
        say = (city, city, f"the place that {city[0]}-{city[1:]} dwellers love", other, other)[i % 5]
        question = f"Where does Ida Holm the {i + offset}th live?"
        rows.append({"id": str(i), "question": question, "reference": f"{city}.", "response": f"In {say}."})
    return rows


def truth(row: dict[str, str]) -> str:
    return "no" if int(row["id"]) % 5 > 2 else "yes"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results without a calibration: each is scored once."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def scored(tmp_path, made):
    def make(name: str, n: int, offset: int = 0, *options: str) -> dict:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in people(n, offset=offset)), encoding="utf-8")
        folder = tmp_path / name if options else made / f"{name}-{n}-{offset}"
        if not folder.exists():
            command = ["score", str(path), "--role", "forget", "--metrics", "kfr", "--output", str(folder)]
            assert main([*command, *options]) == 0
        if not options:
            shutil.copytree(folder, tmp_path / name)
        return json.loads((folder / "result.json").read_text(encoding="utf-8"))

    return make


def label_all(path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["known"] = truth(row)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_labels_correct_this_result_and_another(tmp_path, scored, capsys):
    raw = scored("first", 200)["tasks"]["first_forget"]["metrics"]["kfr"]
    assert raw["value"] == pytest.approx(0.6)  # one in five is known in other words; 0.4 is true
    sheet, calibration = tmp_path / "sheet.csv", tmp_path / "calibration.json"
    assert main(["label", str(tmp_path / "first"), "--n", "80", "--output", str(sheet)]) == 0
    assert "kfr" not in sheet.read_text(encoding="utf-8")  # the reader does not see what the judge said
    label_all(sheet)
    assert main(["calibrate", str(sheet), "--result", str(tmp_path / "first"), "--output", str(calibration)]) == 0
    assert "known called known 0." in capsys.readouterr().out
    assert "Ida Holm" not in calibration.read_text(encoding="utf-8")

    own = scored("again", 200, 0, "--calibration", str(calibration))["tasks"]["again_forget"]["metrics"]["kfr"]
    assert (own["value"], own["corrected"]["ci_method"]) == (raw["value"], "post_stratified")
    assert own["corrected"]["ci95"][0] < 0.4 < own["corrected"]["ci95"][1] < raw["value"]
    capsys.readouterr()
    other = scored("other", 100, 1000, "--calibration", str(calibration))["tasks"]["other_forget"]["metrics"]["kfr"]
    assert other["corrected"]["ci_method"] == "lang_reiczigel"
    assert other["corrected"]["value"] == pytest.approx(0.4, abs=0.1)
    assert "corrected" in capsys.readouterr().out


def test_the_gate_shows_corrected_values(tmp_path, scored, capsys):
    scored("first", 60)
    sheet, calibration = tmp_path / "sheet.csv", tmp_path / "calibration.json"
    main(["label", str(tmp_path / "first"), "--n", "60", "--output", str(sheet)])
    label_all(sheet)
    main(["calibrate", str(sheet), "--result", str(tmp_path / "first"), "--output", str(calibration)])
    capsys.readouterr()
    first = str(tmp_path / "first")
    assert main(["check", first, "--baseline", first, "--calibration", str(calibration)]) == 0
    assert "first_forget/kfr without the judge's error 0.4000 (" in capsys.readouterr().out
    (tmp_path / "first/samples.jsonl").unlink()
    main(["check", first, "--baseline", first, "--calibration", str(calibration), "--allow-no-samples"])
    assert "first_forget/kfr is not corrected: its samples are not there" in capsys.readouterr().out


def test_another_judge_is_refused_and_the_difference_named(tmp_path, scored, capsys):
    scored("first", 60)
    sheet, calibration = tmp_path / "sheet.csv", tmp_path / "calibration.json"
    main(["label", str(tmp_path / "first"), "--n", "40", "--output", str(sheet)])
    label_all(sheet)
    main(["calibrate", str(sheet), "--result", str(tmp_path / "first"), "--output", str(calibration)])
    capsys.readouterr()
    command = ["score", str(tmp_path / "first.jsonl"), "--role", "forget", "--metrics", "kfr"]
    assert main([*command, "--kfr-rule", "released", "--calibration", str(calibration)]) == 2
    assert "the calibration is of another judge: kfr_rule auto and released" in capsys.readouterr().err


def test_own_labels_correct_at_once_and_stand_on_the_page(tmp_path, scored, capsys):
    raw = scored("first", 200)["tasks"]["first_forget"]["metrics"]["kfr"]["value"]
    sheet, folder = tmp_path / "npo.csv", str(tmp_path / "first")
    main(["label", folder, "--n", "80", "--output", str(sheet)])
    label_all(sheet)
    found = scored("again", 200, 0, "--labels", str(sheet))["tasks"]["again_forget"]["metrics"]["kfr"]
    assert (found["value"], found["corrected"]["ci_method"]) == (raw, "post_stratified")
    assert found["corrected"]["basis"].startswith(
        "80 labels of these 200 answers, read by npo.csv (partly is forgotten; labels "
    )
    capsys.readouterr()
    assert main(["check", folder, "--baseline", folder, "--labels", str(sheet)]) == 0
    assert "80 labels of these 200 answers" in capsys.readouterr().out

    assert main(["report", folder, "--labels", str(sheet), "--output", str(tmp_path / "site")]) == 0
    (page,) = (tmp_path / "site/entries").glob("*.html")
    text = page.read_text(encoding="utf-8")
    assert "95 % interval, corrected" in text
    for shown in (f"{raw:.4f}", f"{found['corrected']['value']:.4f}", "(post_stratified)", "80 labels of these 200"):
        assert shown in text, shown
    for form in ("md", "csv", "latex"):
        main(["report", folder, "--labels", str(sheet), "--format", form, "--output", str(tmp_path / form)])
        assert f"{found['corrected']['value']:.3f}" in (tmp_path / form).read_text(encoding="utf-8"), form


def test_labels_are_asked_for_and_kept_one_by_one(tmp_path, scored, monkeypatch, capsys):
    scored("first", 20)
    sheet = tmp_path / "sheet.jsonl"
    replies = iter(["y", "maybe", "n", "s", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(replies))
    command = ["label", str(tmp_path / "first"), "--n", "6", "--output", str(sheet), "--interactive"]
    assert main(command) == 0
    assert capsys.readouterr().out.rstrip().endswith("6 answers, 2 labelled")
    for more, flags in ((["--n", "7"], "--n"), (["--seed", "5"], "--n and --seed")):
        assert main([*command, *more]) == 2
        assert f"{flags}: {sheet} holds another draw, of 6 answers" in capsys.readouterr().err
    replies = iter(["p", "y", "y", "y"])  # goes on with what is missing, the skipped one first
    assert main(command) == 0
    labels = [json.loads(line)["known"] for line in sheet.read_text(encoding="utf-8").splitlines()]
    assert (len(labels), labels.count("partly"), "" in labels) == (6, 1, False)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        ("key,known\n", "no answer in it"),
        ("key,id,known\nabc,q1,yes\nabc,q1,yes\n", "the answer 'q1' is also in"),
        ("key,task\na,b\n", "no column known"),
        ("key,known\nabc,perhaps\n", "expected yes, partly, no"),
        ('key,known\n"abc,yes\n', "not CSV"),
        ("key,known\nabc,\n", "is labelled yet"),
        ("key,known\nabc,yes\n", "none of the 1 labels belongs to an answer of first"),
    ],
)
def test_bad_sheets(tmp_path, scored, capsys, content, expected):
    scored("first", 10)
    sheet, calibration = tmp_path / "sheet.csv", tmp_path / "calibration.json"
    sheet.write_text(content, encoding="utf-8")
    assert main(["calibrate", str(sheet), "--result", str(tmp_path / "first"), "--output", str(calibration)]) == 2
    assert expected in capsys.readouterr().err
    assert not calibration.exists()


def test_two_readers_who_disagree_are_refused(tmp_path, scored, capsys):
    scored("first", 10)
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    for path in (first, second):
        main(["label", str(tmp_path / "first"), "--n", "5", "--output", str(path)])
        label_all(path)
    text = second.read_text(encoding="utf-8")
    second.write_text(text.replace(",yes,", ",partly,", 1), encoding="utf-8")
    command = ["calibrate", str(first), str(second), "--result", str(tmp_path / "first")]
    assert main([*command, "--output", str(tmp_path / "c.json")]) == 2
    assert "is labelled partly here and yes elsewhere" in capsys.readouterr().err


def test_a_sheet_is_not_lost(tmp_path, scored, capsys):
    scored("first", 10)
    sheet = tmp_path / "sheet.csv"
    command = ["label", str(tmp_path / "first"), "--n", "5", "--output", str(sheet)]
    assert main(command) == 0
    before = sheet.read_bytes()
    assert main([*command, "--seed", "1"]) == 2
    assert sheet.read_bytes() == before
    assert "--interactive goes on with it" in capsys.readouterr().err


def test_a_calibration_that_cannot_be_read_costs_no_generation(tmp_path, capsys):
    broken = tmp_path / "calibration.json"
    broken.write_text('{"schema_version": "1.0"}', encoding="utf-8")
    assert main(["run", "--model", "nano-full", "--calibration", str(broken), "--output", str(tmp_path / "out")]) == 2
    assert "does not follow the schema" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_run_corrects_too(tmp_path, capsys):
    command = ["run", "--model", "nano-full", "--tasks", "nano_kfr", "--limit", "8", "--quiet"]
    assert main([*command, "--output", str(tmp_path / "out")]) == 0
    sheet, calibration = tmp_path / "sheet.jsonl", tmp_path / "calibration.json"
    main(["label", str(tmp_path / "out"), "--output", str(sheet)])
    rows = [json.loads(line) for line in sheet.read_text(encoding="utf-8").splitlines()]
    labels = ("yes", "no")  # a reader who disagrees with the judge on every second answer
    sheet.write_text("".join(json.dumps({**r, "known": labels[i % 2]}) + "\n" for i, r in enumerate(rows)))
    main(["calibrate", str(sheet), "--result", str(tmp_path / "out"), "--output", str(calibration)])
    capsys.readouterr()
    assert main([*command, "--output", str(tmp_path / "new"), "--calibration", str(calibration)]) == 0
    result = json.loads((tmp_path / "new/result.json").read_text(encoding="utf-8"))
    metrics = result["tasks"]["nano_kfr"]["metrics"]
    assert "hardly better than a coin" in metrics["kfr"]["not_corrected"]
    assert metrics["kfr"]["corrected"] is None

    other = tmp_path / "other.csv"
    other.write_text(f"key,known\n{'0' * 64},yes\n", encoding="utf-8")
    assert main([*command, "--output", str(tmp_path / "new"), "--overwrite", "--labels", str(other)]) == 2
    assert "none of the 1 labels belongs to an answer of nano-full" in capsys.readouterr().err
    kept = json.loads((tmp_path / "new/result.json").read_text(encoding="utf-8"))  # the answers are not lost
    assert kept["tasks"]["nano_kfr"]["metrics"]["kfr"]["value"] == metrics["kfr"]["value"]


def test_no_command_writes_over_what_it_reads(tmp_path, scored, capsys):
    scored("first", 20)
    sheet, calibration, folder = tmp_path / "sheet.csv", tmp_path / "calibration.json", tmp_path / "first"
    main(["label", str(folder), "--n", "20", "--output", str(sheet)])
    label_all(sheet)
    calibrate = ["calibrate", str(sheet), "--result", str(folder), "--output"]
    kept = {path: path.read_bytes() for path in (sheet, folder / "result.json", folder / "samples.jsonl")}
    for path in kept:
        assert main([*calibrate, str(path), "--overwrite"]) == 2
        assert f"{path} is what this command reads" in capsys.readouterr().err
    assert main(["label", str(folder), "--output", str(folder / "samples.jsonl"), "--overwrite"]) == 2
    assert {path: path.read_bytes() for path in kept} == kept
    assert main([*calibrate, str(folder)]) == 2
    assert f"{folder} is a folder" in capsys.readouterr().err
    assert main([*calibrate, str(calibration)]) == 0
    assert main([*calibrate, str(calibration)]) == 2
    assert f"{calibration} exists" in capsys.readouterr().err
    assert main([*calibrate, str(calibration), "--overwrite"]) == 0


def test_an_endless_answer_does_not_flood_the_terminal(tmp_path, monkeypatch, capsys):
    row = {"question": "Who?", "reference": "Ida Holm.", "response": "Ida \u202e" * 10_000}
    (tmp_path / "a.jsonl").write_text(json.dumps(row), encoding="utf-8")
    main(["score", str(tmp_path / "a.jsonl"), "--role", "forget", "--metrics", "kfr", "--output", str(tmp_path / "a")])
    monkeypatch.setattr("builtins.input", lambda _: "y")
    capsys.readouterr()
    sheet = tmp_path / "sheet.jsonl"
    assert main(["label", str(tmp_path / "a"), "--output", str(sheet), "--interactive"]) == 0
    shown = capsys.readouterr().out
    assert "[…; 46,000 more characters are in the sheet]" in shown
    assert len(shown) < 12_000
    assert "\u202e" not in shown
    assert json.loads(sheet.read_text(encoding="utf-8"))["known"] == "yes"
