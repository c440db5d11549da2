"""Makes the pictures of the README: a household that heard the samples, in a real Chromium.

Run: `make pictures`, after the pages have changed. Promises that nothing is drawn: what they show
is what the commands and pages made of the samples. Needs the model and Debian's `chromium`.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import models
from tests.commandline import ROOT, Shell
from tests.test_web_browser import chromium, entered, served

if TYPE_CHECKING:
    from playwright.sync_api import Page, ViewportSize

TO = ROOT / "samples" / "pictures"
SAMPLES = sorted((ROOT / "samples").glob("[01]*.wav"))
_SIZE: "ViewportSize" = {"width": 1080, "height": 760}


def main() -> None:
    """Makes them all."""
    TO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        shell = Shell(Path(home)).having(ANECHOIC_MODEL=str(models.find(None)))
        shell("ingest", *SAMPLES)
        with served(shell) as it, chromium(Path(home) / "profile") as browser:
            page = entered(browser, it)
            _timeline(page)
            _came_of_it(page)
            _forgetting(page)


def _timeline(page: "Page") -> None:
    page.set_viewport_size(_SIZE)
    page.wait_for_selector(".wave path")
    _take(page, "timeline")


def _find(page: "Page") -> None:
    page.get_by_label("Words that were said").fill("wake me up")
    page.keyboard.press("Enter")


def _came_of_it(page: "Page") -> None:
    _find(page)
    page.locator("#found a.words").first.click()
    page.wait_for_selector("svg")
    _take(page, "interaction")
    page.go_back()


def _forgetting(page: "Page") -> None:
    _find(page)
    page.locator("#found").get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Forget…").click()
    page.get_by_role("heading", name="Before you forget").wait_for()
    _take(page, "plan")
    page.get_by_role("button", name="Forget for ever").click()
    page.get_by_role("heading", name="Forgotten").wait_for()
    _take(page, "receipt")


def _take(page: "Page", name: str) -> None:
    page.wait_for_timeout(500)
    page.screenshot(path=TO / f"{name}.png")


if __name__ == "__main__":
    main()
