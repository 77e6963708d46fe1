"""The picture of sampling: what it shows, and that any labels and sizes can be drawn."""

import matplotlib.image
import polars as pl
import pytest
from test_sampling import make_tagged

from searchtrain.questions.sampling import SampleSettings, compare_labels, sample_questions
from searchtrain.report import charts
from searchtrain.report.charts import draw_sampling


def draw(rows, path, **settings):
    tagged = make_tagged(rows)
    draw_sampling(tagged, sample_questions(tagged, SampleSettings(**settings)), path)
    return matplotlib.image.imread(path)


@pytest.fixture
def texts(monkeypatch, tmp_path):
    """All texts of a picture of these rows."""

    def read(rows, **settings):
        figures = []

        def save(figure, *args, **kwargs):
            figures.append(figure)
            return original(figure, *args, **kwargs)

        original = charts.Figure.savefig
        monkeypatch.setattr(charts.Figure, "savefig", save)
        draw(rows, tmp_path / "sampling.png", **settings)
        (figure,) = figures
        found = [figure.get_suptitle()]
        for axes in figure.axes:
            found += [axes.get_title(), axes.get_xlabel()]
            found += [label.get_text() for label in axes.get_yticklabels()]
            found += [text.get_text() for text in axes.texts]
        return found

    return read


def test_picture_shows_shares_before_and_after_and_says_the_numbers(texts):
    rows = [("film", ["director"])] * 3 + [("art", ["year"])]
    found = texts(rows, total=2, min_domain=1)
    assert found[0] == "Sampling: 2 of 4 questions"
    assert {"film", "art", "director", "year", "75.0 %", "25.0 %", "50.0 %"} <= set(found)
    assert any(text.startswith("Domains: 2 before, 2 after") for text in found)
    assert any("evenness 0.811 before, 1.000 after" in text for text in found)


def test_many_domains_are_cut_to_the_most_frequent_and_the_rest_is_said(texts):
    rows = [(f"domain {n:03}", [f"point {n}"]) for n in range(500) for _ in range(2)]
    rows += [("film", ["director"])] * 1000
    found = texts(rows, total=1000, min_domain=2)
    assert "film" in found and "domain 000" in found and "domain 300" not in found
    assert "share of all questions; 481 more have 48.1 % before, 96.0 % after" in found


@pytest.mark.parametrize(
    "label",
    [
        "历史",
        "история",
        "تاريخ",
        "$a_{ $ b$",
        "a\nb\tc\x00d",
        "😀",
        "x" * 500,
        "100 % & <b>",
        "_hidden",
    ],
)
def test_any_label_can_be_drawn(label, tmp_path):
    assert draw([(label, [label])] * 2, tmp_path / "sampling.png", min_domain=1).size


def test_long_labels_are_cut(texts):
    found = texts([("a very long domain of all that there is to know", ["b"])])
    assert "a very long domain of all t…" in found


def test_picture_without_any_key_point_is_drawn(tmp_path):
    assert draw([("film", [])], tmp_path / "sampling.png").size


def test_equal_input_gives_equal_bytes_and_a_fault_leaves_the_old_picture(tmp_path, monkeypatch):
    rows = [("film", ["director"]), ("art", ["year"])]
    for name in ("one.png", "two.png"):
        draw(rows, tmp_path / name)
    before = (tmp_path / "one.png").read_bytes()
    assert before == (tmp_path / "two.png").read_bytes()

    def fail(figure, path, **kwargs):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(charts.Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        draw(rows, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "two.png"]


def test_labels_are_counted_most_frequent_first_and_lists_by_element():
    before = make_tagged([("film", ["b", "a"]), ("art", ["a"]), ("film", [])])
    counts = compare_labels(before, before[:1], "key_points")
    assert counts.rows() == [("a", 2, 1), ("b", 1, 1)]
    assert compare_labels(before, before[1:2], "domain").rows() == [("film", 2, 0), ("art", 1, 1)]
    assert counts.schema == {"label": pl.String, "before": pl.Int64, "after": pl.Int64}
