"""Code digests: what the code does counts, how it is written does not."""

from searchtrain.data.lineage import digest_code, list_code


def write(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def fresh_digest(root):
    from searchtrain.data import lineage

    lineage._digest_file.cache_clear()
    lineage._list_imports.cache_clear()
    return digest_code(root / "tag.py", root)


def test_follows_imports(tmp_path):
    write(
        tmp_path,
        tag="import json\nfrom lib import one\nimport lib.three",
        lib____init__="",
        lib__one="from lib.two import f",
        lib__two="def f(): return 2",
        lib__three="",
        lib__four="x = 4",
    )
    (tmp_path / "lib" / "__init__.py").write_text("")
    names = [
        file.relative_to(tmp_path).as_posix() for file in list_code(tmp_path / "tag.py", tmp_path)
    ]
    assert names == ["lib/__init__.py", "lib/one.py", "lib/three.py", "lib/two.py", "tag.py"]


def test_comments_docstrings_and_formatting_change_nothing(tmp_path):
    write(
        tmp_path,
        tag='"""Doc."""\nimport two\nclass A:\n    x: int = 1\n    """Of x."""\n',
        two="y = [1, 2]",
    )
    before = fresh_digest(tmp_path)
    write(
        tmp_path,
        tag='"""Other."""\nimport two  # why\n\n\nclass A:\n    """B."""\n\n    x: int = 1\n',
        two="# c\ny = [\n    1,\n    2,\n]",
    )
    assert fresh_digest(tmp_path) == before


def test_a_change_of_what_is_done_counts(tmp_path):
    write(tmp_path, tag="import two", two="y = 1")
    before = fresh_digest(tmp_path)
    write(tmp_path, two="y = 2")
    changed = fresh_digest(tmp_path)
    assert changed != before
    write(tmp_path, three="z = 1")
    assert fresh_digest(tmp_path) == changed
