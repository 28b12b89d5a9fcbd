"""The site in a real browser: sorting, filtering, opening an entry, hostile names, 1,000 entries, accessibility.

Needs Chromium and chromedriver (Debian: `apt-get install chromium chromium-driver`) and selenium; the accessibility
test also needs axe-core, from npm or as a file named by UNLEARN_BENCH_AXE. What is missing is said when a test is
skipped.
"""

import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.leaderboard_documents import make_board, make_result, make_samples, write_board, write_run
from unlearn_bench.boards.board import Entry
from unlearn_bench.boards.submit import Claim, submit
from unlearn_bench.results import result_digest
from unlearn_bench.site import report, views

pytestmark = pytest.mark.slow
HOSTILE = "<script>alert(1)</script>"
AXE_VERSION = "4.14.1"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1300,1000"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    binary, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("Chromium and chromedriver are not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    board = write_board(folder / "demo.json")
    for name, figures in {
        "demo-full": {"kfr": 2, "krr": 98},
        "demo-retain": {"kfr": 95, "krr": 97},
        "relearn": {"kfr": 86, "krr": 93},
        "ga": {"kfr": 100, "krr": 0, "fluency": 0.03},
        HOSTILE: {"kfr": 55, "krr": 92},
    }.items():
        path = write_run(folder / "runs" / name.replace("/", ""), name, **figures)
        samples = path.with_name("samples.jsonl")
        samples.rename(path.with_name("kept"))  # these invented answers are not scored by real scorers
        submit(path, board, Claim(name, notes=HOSTILE))
        path.with_name("kept").rename(samples)
    report.write_site(views.load([board, *sorted((folder / "runs").iterdir())]), folder / "site")
    return folder / "site"


def _open(browser: object, page: Path) -> None:
    """Open a page and wait until its table can be used."""
    browser.get(page.as_uri())
    for _ in range(3000):
        if browser.execute_script("return document.documentElement.dataset.ready") == "yes":
            return
        time.sleep(0.02)
    raise TimeoutError([entry["message"] for entry in browser.get_log("browser")])


def _wait(found: Callable[[], bool]) -> None:
    """Wait until something is so, a minute at most; the assertion behind says what is not."""
    for _ in range(3000):
        if found():
            return
        time.sleep(0.02)


def _wait_for_column(browser: object, number: int, expected: list[str]) -> None:
    """Wait until a column shows what is expected: the table is drawn some time after it was asked to."""
    read = (
        "return [...document.querySelectorAll(`#board tbody tr td:nth-child(${arguments[0]})`)].map(c => c.innerText)"
    )
    for _ in range(3000):
        shown = [text.split("\n")[0] for text in browser.execute_script(read, number)]
        if shown == expected:
            return
        time.sleep(0.02)
    raise AssertionError(f"{shown} in place of {expected}")


def test_sorting_filtering_and_opening_an_entry(browser: object, site: Path) -> None:
    _open(browser, site / "demo.html")
    _wait_for_column(browser, 2, ["relearn", HOSTILE, "ga", "demo-full", "demo-retain"])
    header = browser.find_element("css selector", "#board thead th:nth-child(3)")
    header.click()
    _wait_for_column(browser, 3, ["1.000", "0.950", "0.860", "0.550", "0.020"])
    assert (
        browser.find_element("css selector", "#board thead th:nth-child(3)").get_attribute("aria-sort") == "descending"
    )
    browser.find_element("css selector", "#board thead th:nth-child(3) [role=button]").send_keys("\ue007")  # Enter
    _wait_for_column(browser, 3, ["0.020", "0.550", "0.860", "0.950", "1.000"])
    search = browser.find_element("css selector", "input[type=search]")
    search.send_keys("relea")
    _wait_for_column(browser, 2, ["relearn"])
    search.clear()
    search.send_keys("\ue003")
    browser.find_element("css selector", "select[data-table] option[value=collapsed]").click()
    _wait_for_column(browser, 2, ["ga"])
    browser.find_element("css selector", "select[data-table] option[value='']").click()
    browser.find_element("link text", "relearn").click()
    assert browser.find_element("css selector", "h1").text == "relearn"
    assert "not verified" in browser.find_element("css selector", "main p").text


def test_labels_are_text_in_the_tables_head_and_explained(browser: object, site: Path) -> None:
    _open(browser, site / "demo.html")
    header = browser.find_element("css selector", "#board thead th:nth-child(3)")
    assert header.text == "KFR"
    assert header.get_attribute("title").startswith("Knowledge forgetting ratio")
    rows = browser.find_elements("css selector", "caption + thead + tbody tr th")
    assert [row.text for row in rows][:2] == ["demo-full", "demo-retain"]  # the ends of the scale stand above
    named = "return [...document.querySelectorAll('.plot .textpoint')].map(t => t.textContent).filter(t => t)"
    expected = {"demo-full", "demo-retain", "relearn", "ga"}
    _wait(lambda: expected <= set(browser.execute_script(named)))
    assert expected <= set(browser.execute_script(named))


def test_samples_can_be_searched_and_only_flips_shown(browser: object, site: Path) -> None:
    (page,) = (site / "entries").glob("demo-relearn-*.html")
    _open(browser, page)
    assert browser.find_element("css selector", ".dt-info").text == "1 to 25 of 200 answers"
    browser.find_element("css selector", "input[type=checkbox]").click()
    # 84 questions of the forget task (2 known before, 86 forgotten now) and 5 of the retain task (98, then 93)
    assert browser.find_element("css selector", ".dt-info").text.startswith("1 to 25 of 89 answers")
    browser.find_element("css selector", "select[data-table=samples] option[value=demo_krr]").click()
    assert browser.find_element("css selector", ".dt-info").text.startswith("1 to 5 of 5 answers")


def test_a_hostile_name_is_text_and_nothing_else(browser: object, site: Path) -> None:
    for page in sorted(site.rglob("*.html")):
        browser.get(page.as_uri())
        time.sleep(0.3)
        assert not browser.execute_script(
            "return [...document.scripts].some(s => s.textContent.includes('alert(1)') && !s.type)"
        )
        errors = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert errors == []
    _open(browser, site / "demo.html")
    assert HOSTILE in browser.find_element("css selector", "#board tbody").text


def test_nothing_is_loaded_but_the_sites_own_files(browser: object, site: Path) -> None:
    browser.get_log("performance")
    _open(browser, site / "demo.html")
    points = ".plot .scatterlayer .point, .plot .scatterlayer path.point"
    _wait(lambda: len(browser.find_elements("css selector", points)) >= 5)
    events = [json.loads(event["message"])["message"] for event in browser.get_log("performance")]
    loaded = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert len(loaded) >= 5  # the page, the style, the script and two libraries
    assert all(name.startswith((site.as_uri(), "data:", "blob:")) for name in loaded)
    assert len(browser.find_elements("css selector", points)) >= 5


def test_every_plot_is_drawn_as_what_it_is(browser: object, site: Path) -> None:
    """The small build of Plotly draws a kind of trace that it does not know as a scatter plot, without a word."""
    (entry,) = (site / "entries").glob("demo-relearn-*.html")
    kinds = "return [...document.querySelectorAll('.plot')].flatMap(p => (p._fullData ?? []).map(t => t.type))"
    for page, expected in ((site / "demo.html", {"scatter"}), (entry, {"bar"})):
        _open(browser, page)
        _wait(lambda expected=expected: set(browser.execute_script(kinds)) == expected)
        assert set(browser.execute_script(kinds)) == expected


def test_of_a_thousand_entries_one_page_is_drawn(browser: object, tmp_path: Path) -> None:
    board = make_board()
    base = make_result(samples=make_samples(n=100))
    entries = []
    for i in range(1_000):
        result = base.model_copy(deep=True)
        result.model.name = f"model {i}"
        hits = 10 + i % 80
        task = result.tasks["demo_kfr"].metrics["kfr"]
        task.value, task.ci95 = hits / 100, (max(0, hits / 100 - 0.08), min(1, hits / 100 + 0.08))
        entries.append(
            Entry(
                name=f"model {i}", submitted="2026-01-01T00:00:00Z", result_sha256=result_digest(result), result=result
            )
        )
    view = views.view(board.model_copy(update={"entries": entries}), tmp_path / "demo.json")
    site = report._Site(views.Inputs(boards=[view]), tmp_path / "site")
    site.assets()
    page = site.board(view)
    _open(browser, page)
    assert browser.find_element("css selector", ".dt-info").text == "1 to 25 of 1,000 entries"
    assert len(browser.find_elements("css selector", "#board tbody tr")) == 25  # the others are not drawn
    assert page.stat().st_size < 20e6


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    named = os.environ.get("UNLEARN_BENCH_AXE")
    if named:
        return Path(named).read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("axe")
    try:
        subprocess.run(
            ["npm", "pack", f"axe-core@{AXE_VERSION}"], cwd=folder, check=True, capture_output=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        pytest.skip(f"axe-core {AXE_VERSION} is not to be had: npm failed, and UNLEARN_BENCH_AXE names no axe.min.js")
    with tarfile.open(folder / f"axe-core-{AXE_VERSION}.tgz") as archive:
        return archive.extractfile("package/axe.min.js").read().decode("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: object, site: Path, axe: str, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    (entry,) = (site / "entries").glob("demo-relearn-*.html")
    for page in (site / "index.html", site / "demo.html", entry):
        browser.get(page.as_uri())
        time.sleep(1.5)
        browser.execute_script(axe)
        found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
        serious = {
            v["id"]: [n["html"][:120] for n in v["nodes"][:3]] for v in found if v["impact"] in ("serious", "critical")
        }
        assert serious == {}, page.name
