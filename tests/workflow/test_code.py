"""Code digests: what decides a result counts; how it is written, and what users read, does not."""

import pytest

from searchtrain.workflow.code import digest_modules, list_files


def write(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def digest_anew(root, *modules):
    return digest_modules(modules or ("room.tag",), root)


def test_imports_are_followed_but_not_through_neutral_modules(tmp_path):
    write(
        tmp_path,
        room__tag=(
            "import json\nfrom searchtrain.room import one\nfrom searchtrain.core import files"
        ),
        room__one="from searchtrain.other.two import f",
        room__unused="",
        other__two="def f():\n    from searchtrain.other import three\n    return three.x",
        other__three="x = 3",
        core__files="from searchtrain.other import four",
        other__four="",
    )
    (tmp_path / "room/__init__.py").write_text("")
    names = [file.relative_to(tmp_path).as_posix() for file in list_files(["room.tag"], tmp_path)]
    assert names == [
        "other/three.py", "other/two.py", "room/__init__.py", "room/one.py", "room/tag.py",
    ]  # fmt: skip


def test_an_import_for_types_alone_is_not_followed(tmp_path):
    write(
        tmp_path,
        room__tag=(
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import searchtrain.room.one"
        ),
        room__one="",
    )
    assert [file.name for file in list_files(["room.tag"], tmp_path)] == ["tag.py"]


def test_an_entry_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ModuleNotFoundError, match=r"no module room\.gone"):
        list_files(["room.gone"], tmp_path)


SOURCE = """
class A:
    x: int = 1

def check(value, limit):
    if value > limit:
        raise InputError(f"{value} is too much", "kind")
    logger.info("checked %s", value)
    try:
        return 2 * value
    except KeyError:
        logger.exception("no value")
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x: int = 1", 'x: int = 1  # a remark\n    """Of x."""'),
        ("class A:", 'class A:\n    """Doc."""\n'),
        ("is too much", "is more than is allowed; lower it"),
        ('"checked %s", value', '"%s was checked against %s", value, limit'),
        ('logger.info("checked %s", value)\n    ', ""),
        ('"no value"', '"nothing there"'),
        ("value > limit", "(value > limit)"),
    ],
)
def test_what_users_read_and_how_code_is_written_changes_nothing(tmp_path, old, new):
    write(tmp_path, room__tag=SOURCE)
    before = digest_anew(tmp_path)
    assert old in SOURCE
    write(tmp_path, room__tag=SOURCE.replace(old, new))
    assert digest_anew(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x: int = 1", "x: int = 2"),
        ("2 * value", "3 * value"),
        ("value > limit", "value >= limit"),
        ('"kind"', '"other"'),
        ("InputError", "ServiceError"),
        ("except KeyError", "except IndexError"),
    ],
)
def test_a_change_of_what_is_done_counts(tmp_path, old, new):
    write(tmp_path, room__tag=SOURCE)
    before = digest_anew(tmp_path)
    write(tmp_path, room__tag=SOURCE.replace(old, new))
    assert digest_anew(tmp_path) != before


def test_the_text_of_an_error_that_a_model_is_told_counts(tmp_path):
    write(tmp_path, room__tag='raise ReplyError("The answer is no JSON object.", "not_json")')
    before = digest_anew(tmp_path)
    write(tmp_path, room__tag='raise ReplyError("Answer with JSON.", "not_json")')
    assert digest_anew(tmp_path) != before
