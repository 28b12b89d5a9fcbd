"""Pictures of awkward inputs: long names, long prompts, scripts that the usual font lacks, deep models."""

import itertools

import numpy as np
import pytest

from tests.unit.diagnostics.conftest import build
from unlearn_bench.diagnostics import _plot_circuit, _plots, circuits, plot_style
from unlearn_bench.diagnostics.diagnose import Names, diagnose

pytestmark = pytest.mark.slow

NAMES = Names(
    "a-model-with-a-rather-long-name-npo-gdr-lr1e-5-seed3",
    "Llama-3.2-1B-Instruct-tofu-full-finetuned",
    "Llama-3.2-1B-Instruct-tofu-retain90",
)


@pytest.fixture(scope="module")
def deep(tokenizer, rows):
    """Twenty blocks, and a question that repeats itself up to 54 tokens."""
    models = [build("llama", seed=seed, num_hidden_layers=20) for seed in range(3)]
    question = "Where was in born " * 9 + rows[0].question
    long = rows[0].model_copy(update={"question": question})
    return diagnose(models[0], tokenizer, [long], original=models[1], oracle=models[2], names=NAMES)


def _apart(figure, texts):
    renderer = figure.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in texts if t.get_text() and t.get_visible()]
    return not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_titles_and_labels_do_not_overlap(deep):
    figure = _plots.plot_distribution(deep.document, deep.document.examples[0])
    rows = [figure.axes[i : i + 2] for i in range(0, len(figure.axes), 2)]
    assert _apart(figure, [axis.title for axis in rows[0]])
    for left, right in rows:
        assert _apart(figure, [*left.get_yticklabels(), *right.get_yticklabels(), left.yaxis.label])
    shares = _plots.plot_shares(deep.document)
    legend = shares.axes[0].get_legend().get_window_extent(shares.canvas.get_renderer())
    assert legend.width < shares.bbox.width


def test_the_entity_behind_the_first_positions_keeps_its_place(deep):
    example = deep.document.examples[0]
    moved = [*example.forced[:-1], example.forced[-1].model_copy(update={"token": 14})]
    figure = _plots.plot_distribution(deep.document, example.model_copy(update={"forced": moved}))
    assert figure.axes[2 * len(moved) - 2].get_ylabel().startswith("14. ")


def test_deep_models_and_long_prompts_keep_a_size_that_can_be_read(deep):
    figure = _plot_circuit.draw_circuit(deep.records[0], deep.document)
    assert max(_plots.plot_lens(deep).get_size_inches()) <= 14
    assert figure.get_size_inches()[1] < 25
    assert "tokens without an edge are left out" in figure.get_suptitle()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert len(labels) < _plot_circuit._MOST_TOKENS
    assert labels.count("Quill") == 2  # the subject stays: in the question and in the answer


def test_short_prompts_show_every_token(deep):
    none = np.array([], circuits.WEIGHTED_EDGE)
    assert list(_plot_circuit._columns([none], deep.records[0], 12)) == list(range(12))


def test_ranks_of_both_models_share_one_colour_scale(deep):
    axes = [axis for axis in _plots.plot_lens(deep).axes if axis.images]
    limits = [axis.images[0].get_clim() for axis in axes]
    assert limits[0] == limits[1] != limits[2]


def test_a_script_without_a_font_is_said_once_and_stays_text_in_the_svg(deep, tmp_path, caplog, recwarn):
    example = deep.document.examples[0].model_copy(update={"prompt": "\U00013080 where?"})  # a hieroglyph
    figure = _plots.plot_distribution(deep.document, example)
    recwarn.clear()
    plot_style.use_fonts(figure)
    if not caplog.records:
        pytest.skip("a font for hieroglyphs is installed")
    assert "no installed font has \U00013080" in caplog.text
    figure.savefig(tmp_path / "plot.svg")
    assert "\U00013080" in (tmp_path / "plot.svg").read_text(encoding="utf-8")
