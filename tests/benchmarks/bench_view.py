"""The browser of transcripts with 50,000 rollouts, in headless Chromium.

    python tests/benchmarks/bench_view.py [RESULTS [ROWS]]

The rollouts are those of a finished run, again and again with new ids. Measured are the conversion
(time and memory) and, in the browser, the time until the first file is listed, sorted by a rule,
filtered by a rule, and until a rollout and a hit of the search are open.
"""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.chromium import open_browser, open_page
from searchtrain.serving.port import find_free_port

ROOT = Path(__file__).resolve().parents[2]
PYTHON = str(ROOT / ".venv-view/bin/python")
BLANK = "about:blank"
ROW = "[role=row]"
LIMIT_MS = 120_000


def main(results: Path, rows: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tables = replicate(results, folder, rows)
        convert(tables, folder / "transcripts")
        with serve(folder / "transcripts") as (viewer, search), open_browser() as browser:
            with open_page(browser, BLANK) as looks:
                look(looks.page, viewer)
                print("console errors:", looks.faults, "outside:", looks.outside)
            with open_page(browser, BLANK) as looks:
                with timed("search"):
                    looks.page.goto(f"{search}?words=Tokyo")
                    looks.page.locator("td a").first.wait_for()
                with timed("open the first hit"):
                    looks.page.locator("td a").first.click()
                    looks.page.get_by_text("passages found").first.wait_for()
                print("console errors:", looks.faults, "outside:", looks.outside)


def replicate(results: Path, folder: Path, rows: int) -> list[str]:
    """The teacher's tables with so many rollouts."""
    copies = -(-rows // pl.read_parquet(results / "trajectories.parquet").height)
    names = ["trajectories.parquet", "curation.parquet", "curated.parquet"]
    for name in names:
        table = pl.read_parquet(results / name)
        keys = ("id", "question_id")
        renamed = [
            table.with_columns((f"{number:02}-" + pl.col(key)).alias(key) for key in keys)
            for number in range(copies)
        ]
        pl.concat(renamed).write_parquet(folder / name)
    first = pl.scan_parquet(folder / names[0]).head(rows).select("id").collect()
    for name in names:
        table = pl.read_parquet(folder / name)
        table.join(first, on="id", how="semi", maintain_order="left").write_parquet(folder / name)
    return [str(folder / name) for name in names]


def convert(tables: list[str], out: Path) -> None:
    command = [PYTHON, str(ROOT / "scripts/transcripts.py"), "--tables", *tables, "--out", str(out)]
    measured = ["/usr/bin/time", "--format", "%e s, %U s of CPU, %M kB", *command]
    print("conversion:", subprocess.run(measured, capture_output=True, text=True).stderr)
    size = sum(file.stat().st_size for file in out.glob("*.eval")) / 1e6
    print(f"files: {json.loads((out / 'manifest.json').read_text())['files'][:2]} …, {size:.0f} MB")
    print(f"search: {(out / 'search.sqlite').stat().st_size / 1e6:.0f} MB")


def look(page, viewer: str) -> None:
    page.set_default_timeout(LIMIT_MS)
    with timed("list the files"):
        page.goto(viewer)
        page.get_by_text("teacher's rollouts (1 of").wait_for()
    with timed("list 5,000 rollouts"):
        page.goto(f"{viewer}#/tasks/teacher-01.eval")
        page.get_by_text("5000 Samples", exact=True).wait_for()
        page.locator(ROW).nth(3).wait_for()
    with timed("sort by tokens"):
        before = page.locator(ROW).nth(1).inner_text()
        page.get_by_title("Tokens").first.click()
        page.wait_for_function(
            "before => document.querySelectorAll('[role=row]')[1].innerText !== before", arg=before
        )
    with timed("filter by a rule"):
        page.locator(".cm-content").first.click()
        page.keyboard.type('looping == "I"')
        page.keyboard.press("Enter")
        page.get_by_text(re.compile(r"\d+ / 5000 Samples")).wait_for()
    with timed("open one"):
        page.locator(ROW).nth(2).click()
        page.get_by_text("Reasoning", exact=True).first.wait_for()


@contextmanager
def timed(what: str):
    began = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - began:.2f} s", flush=True)


@contextmanager
def serve(folder: Path):
    command = [PYTHON, str(ROOT / "scripts/view.py"), str(folder), "--port", str(find_free_port())]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        yield [re.search(r"http://\S+", server.stdout.readline())[0] for _ in range(2)]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "results"), int((sys.argv[2:] or [50_000])[0]))
