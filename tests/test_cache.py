"""The request cache: survives death, is shared between writers, first answer wins."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from searchtrain.cache import RequestCache

SCRIPTS = Path(__file__).parent.parent / "scripts"


def test_put_and_get(tmp_path):
    cache = RequestCache(tmp_path / "cache", "tag")
    assert cache.get("k") is None
    cache.put("k", {"text": "Tromsø", "n": 1})
    cache.put("k", {"text": "later"})
    assert cache.get("k") == {"text": "Tromsø", "n": 1}


def test_a_writer_reads_what_others_wrote(tmp_path):
    first = RequestCache(tmp_path, "tag")
    first.put("k", 1)
    second = RequestCache(tmp_path, "trajectories")
    assert second.get("k") == 1
    first.put("late", 2)
    assert second.get("late") == 2
    assert {file.name for file in tmp_path.glob("*.sqlite")} == {
        "tag.sqlite",
        "trajectories.sqlite",
    }


def test_the_last_answer_wins_when_it_replaces(tmp_path):
    cache = RequestCache(tmp_path, "web")
    cache.put("k", 1)
    cache.put("k", 2, replace=True)
    assert cache.get("k") == 2


def test_an_old_answer_does_not_count_when_a_newer_one_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    other = RequestCache(tmp_path, "other")
    other.put("k", "old")
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
        "import os, signal, sys; from searchtrain.cache import RequestCache;"
        "RequestCache(sys.argv[1], 'tag').put('k', 'v'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
    )
    assert ended.returncode == -signal.SIGKILL
    assert RequestCache(tmp_path, "tag").get("k") == "v"
