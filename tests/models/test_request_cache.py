"""The request cache: survives death, goes from job to job, first answer wins."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from searchtrain.core.errors import InputError
from searchtrain.models import request_cache as cache_module
from searchtrain.models.request_cache import SCHEMA, RequestCache

SCRIPTS = Path(__file__).parents[2] / "scripts"


def test_put_and_get(tmp_path):
    cache = RequestCache(tmp_path / "cache", "tag")
    assert cache.get("k") is None
    cache.put("k", {"text": "Tromsø", "n": 1})
    cache.put("k", {"text": "later"})
    assert cache.get("k") == {"text": "Tromsø", "n": 1}


def test_a_writer_reads_what_others_wrote(tmp_path):
    with closing(RequestCache(tmp_path, "tag")) as first:
        first.put("k", 1)
        first.put("late", 2)
    second = RequestCache(tmp_path, "trajectories")
    assert second.get("k") == 1 and second.get("late") == 2
    second.put("own", 3)
    assert not list(tmp_path.glob("*-shm")), "memory that machines cannot share"
    second.close()
    assert {file.name for file in tmp_path.iterdir()} == {"tag.sqlite", "trajectories.sqlite"}


def test_a_file_with_a_log_from_before_is_read(tmp_path):
    """Earlier versions left their files in WAL mode, open to several processes of one machine."""
    old = sqlite3.connect(tmp_path / "tag.sqlite", isolation_level=None)
    old.execute("pragma journal_mode=wal")
    old.execute(SCHEMA)
    old.execute("insert into answers values ('k', '1', 0)")
    old.close()
    assert RequestCache(tmp_path, "trajectories").get("k") == 1


def test_what_a_job_writes_is_left_alone_until_it_ends_or_dies(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "OTHERS_WAIT_S", 0.1)
    writer = start_writer(tmp_path, "tag")
    meanwhile = RequestCache(tmp_path, "trajectories")
    assert meanwhile.get("k") is None
    meanwhile.close()
    writer.kill()
    writer.wait()
    for name in ("trajectories", "predict"):
        assert RequestCache(tmp_path, name).get("k") == "v"


def test_a_job_that_begins_to_write_does_not_stop_those_that_read(tmp_path):
    RequestCache(tmp_path, "tag").put("k", 1)
    reader = RequestCache(tmp_path, "trajectories")
    assert reader.get("k") == 1
    writer = start_writer(tmp_path, "tag")
    assert reader.get("k") is None and reader.get("other") is None
    writer.kill()
    writer.wait()


def test_two_jobs_of_one_name_have_two_files(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "WAIT_S", 0.1)
    monkeypatch.setattr(cache_module, "OTHERS_WAIT_S", 0.1)
    first, second = (RequestCache(tmp_path, "tag") for _ in range(2))
    first.put("k", 1)
    second.put("other", 2)
    first.close()
    second.close()
    third = RequestCache(tmp_path, "tag")
    assert third.get("k") == 1 and third.get("other") == 2


def test_a_folder_that_can_not_hold_a_cache_is_named(tmp_path):
    (tmp_path / "tag.sqlite").write_text("no database, but a text that somebody put there")
    with pytest.raises(InputError, match=r"tag\.sqlite: file is not a database"):
        RequestCache(tmp_path, "tag")
    with pytest.raises(InputError, match=r"tag\.sqlite: file is not a database; fix it"):
        RequestCache(tmp_path, "trajectories")


def test_the_last_answer_wins_when_it_replaces(tmp_path):
    cache = RequestCache(tmp_path, "web")
    cache.put("k", 1)
    cache.put("k", 2, replace=True)
    assert cache.get("k") == 2


def test_an_old_answer_does_not_count_when_a_newer_one_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    other = RequestCache(tmp_path, "other")
    other.put("k", "old")
    other.close()
    cache = RequestCache(tmp_path, "web")
    assert cache.get("k", since=1000) == "old"
    assert cache.get("k", since=1001) is None
    monkeypatch.setattr(time, "time", lambda: 2000.0)
    cache.put("k", "new", replace=True)
    assert cache.get("k", since=1001) == "new"
    cache.put("k", "ignored")
    assert cache.get("k") == "new"


def test_an_answer_survives_kill_9_right_after_put(tmp_path):
    program = (
        "import os, signal, sys; from searchtrain.models.request_cache import RequestCache;"
        "RequestCache(sys.argv[1], 'tag').put('k', 'v'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )
    assert ended.returncode == -signal.SIGKILL
    assert RequestCache(tmp_path, "tag").get("k") == "v"


def test_a_fault_of_the_own_file_is_no_missing_answer(tmp_path):
    cache = RequestCache(tmp_path, "tag")
    cache._own.execute("drop table answers")
    with pytest.raises(InputError, match=r"tag\.sqlite: no such table: answers"):
        cache.get("k")
    with pytest.raises(InputError, match=r"tag\.sqlite: no such table: answers"):
        cache.put("k", 1)


def test_a_full_disk_is_named(tmp_path):
    cache = RequestCache(tmp_path, "tag")
    cache._own.execute("pragma max_page_count=2")
    with pytest.raises(InputError, match=r"tag\.sqlite: database or disk is full.*room"):
        cache.put("k", "x" * 100_000)


def test_a_damaged_file_of_another_job_is_named_and_not_paid_for_again(tmp_path):
    with closing(RequestCache(tmp_path, "tag")) as other:
        for number in range(300):
            other.put(str(number), "x" * 1000)
    cache = RequestCache(tmp_path, "trajectories")
    assert cache.get("7") == "x" * 1000
    os.truncate(tmp_path / "tag.sqlite", 3 * 4096)
    with pytest.raises(InputError, match=r"tag\.sqlite: .*fix it"):
        for number in range(300):
            cache.get(str(number))


def test_a_job_that_died_before_its_first_answer_is_no_fault(tmp_path):
    (tmp_path / "tag.sqlite").touch()
    assert RequestCache(tmp_path, "trajectories").get("k") is None


def start_writer(folder, name):
    """A process that has kept the answer `v` to `k` and goes on working."""
    program = (
        "import sys, time; from searchtrain.models.request_cache import RequestCache;"
        "cache = RequestCache(sys.argv[1], sys.argv[2]); cache.put('k', 'v');"
        "print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder), name],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    return process
