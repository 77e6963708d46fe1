"""A page in headless Chromium, and what it complains of.

Invariant: the browser reaches this machine only, and every request that it tries elsewhere is kept.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update")  # fmt: skip
LOCAL = ("127.0.0.1", "localhost", "")
"""Hosts of this machine; a file and data of the page itself have none."""

needs_chromium = pytest.mark.skipif(
    PROGRAM is None, reason="needs Chromium (Debian's package chromium; .ci/run installs it)"
)


@dataclass
class Looks:
    """A page as it is looked at; `faults` are its console errors, exceptions and failed requests,
    `outside` what it asked other machines for."""

    page: Page
    faults: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def is_wide(self) -> bool:
        """Whether one has to scroll sideways to see all of it."""
        return bool(
            self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")
        )


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser of one's own; tests mark themselves `needs_chromium`."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=PROGRAM, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_page(
    browser: Browser, url: str, *, width: int = 1440, height: int = 900, dark: bool = False
) -> Iterator[Looks]:
    """The page at `url` (http or file), `width` pixels wide, in the light or the dark scheme."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    looks = Looks(context.new_page())
    page = looks.page
    page.on("console", lambda said: said.type == "error" and looks.faults.append(said.text))
    page.on("pageerror", lambda error: looks.faults.append(str(error)))
    page.on("requestfailed", lambda asked: looks.faults.append(f"{asked.url}: {asked.failure}"))
    page.on("request", lambda asked: (urlsplit(asked.url).hostname or "") in LOCAL
            or looks.outside.append(asked.url))  # fmt: skip
    try:
        page.goto(url, wait_until="load")
        yield looks
    finally:
        context.close()
