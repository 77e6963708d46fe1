"""The corpus: what is refused, and that the message says where and what to do."""

import gzip
import json

import pytest

from searchtrain.core.errors import InputError
from searchtrain.search.corpus import build_corpus

PARIS = {"id": "1", "contents": '"Paris"\nParis is in France.', "links": ["2"], "url": "http://x/1"}
FRANCE = {"id": "2", "contents": '"France"\nFrance is in Europe.'}


def write_rows(path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_keeps_every_field_and_the_order(tmp_path):
    source = write_rows(tmp_path / "in.jsonl", PARIS, "", FRANCE)
    assert build_corpus(source, tmp_path / "out.jsonl") == 2
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert rows == [PARIS, FRANCE]


def test_reads_gzip(tmp_path):
    plain = write_rows(tmp_path / "in.jsonl", PARIS, FRANCE)
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    build_corpus(plain, tmp_path / "a")
    build_corpus(packed, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    packed.write_bytes(packed.read_bytes()[:40])
    with pytest.raises(InputError, match="not a whole gzip file"):
        build_corpus(packed, tmp_path / "b")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 2: not valid JSON"),
        ("[1]", "line 2: found .* give one JSON object a line"),
        ({"contents": FRANCE["contents"]}, "line 2: id: found nothing"),
        ({**FRANCE, "id": ""}, "line 2: id: found ''; give a string that is not empty"),
        ({**FRANCE, "id": 2.5}, "line 2: id: found 2.5"),
        ({**FRANCE, "id": "1"}, "line 2: id: '1' is already on line 1"),
        ({"id": "2"}, "line 2: contents: found nothing"),
        ({**FRANCE, "contents": "no title"}, "line 2: contents: 'no title' is not a quoted title"),
        ({**FRANCE, "contents": '""\ntext'}, "line 2: contents: .* is not a quoted title"),
        ({**FRANCE, "contents": '"Title"\n '}, "line 2: contents: .* is not a quoted title"),
        ({**FRANCE, "links": "1"}, "line 2: links: '1' is not a list of passage ids"),
        ({**FRANCE, "url": 3}, "line 2: url: 3 is not a string"),
    ],
)
def test_refuses_a_bad_row_and_keeps_the_old_corpus(tmp_path, row, message):
    out = tmp_path / "out.jsonl"
    out.write_text("before")
    source = write_rows(tmp_path / "in.jsonl", {**PARIS, "links": []}, row)
    with pytest.raises(InputError, match=message) as error:
        build_corpus(source, out)
    assert str(error.value).startswith(str(source))
    assert out.read_text() == "before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_drops_broken_links_and_says_how_many(tmp_path, caplog):
    rows = [
        {**PARIS, "links": ["2", "8", "9"]},
        {**FRANCE, "links": ["1"], "url": "http://x/2"},
        {"id": "3", "contents": '"Lyon"\nLyon is in France.', "links": ["9"]},
    ]
    source = write_rows(tmp_path / "in.jsonl", *rows)
    assert build_corpus(source, tmp_path / "out.jsonl") == 3
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["links"] for row in found] == [["2"], ["1"], []]
    assert [{**row, "links": None} for row in found] == [{**row, "links": None} for row in rows]
    assert "3 links of 2 passages lead to no passage" in caplog.text
    assert "the first: line 1 links to '8'" in caplog.text


def test_refuses_a_missing_and_an_empty_file(tmp_path):
    with pytest.raises(InputError, match="no such file; check the path"):
        build_corpus(tmp_path / "none.jsonl", tmp_path / "out")
    with pytest.raises(InputError, match="no passages; give one JSON object a line"):
        build_corpus(write_rows(tmp_path / "in.jsonl"), tmp_path / "out")
