"""What every test gets: an environment without the user's own vault, steady Hypothesis, its place.

Side by side (`make test`), what hears in real time is one group: its tests mostly wait, and two of
them at once would disturb each other. The slow ones begin first, so that no process is left alone
with one at the end.

No fixture for one kind of test belongs here; it lives beside those tests. A test that needs the
recognition model is marked `model` and fails, rather than skips, where none is installed.
"""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# Whoever starts the tests in the background may have Ctrl-C ignored, which every process inherits.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared processor is not a wrong result, so no deadline; what failed is printed to be repeated.
settings.register_profile("anechoic", deadline=None, print_blob=True)
settings.load_profile("anechoic")


@pytest.fixture(autouse=True)
def _away_from_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test can reach a vault or an anchor of whoever runs it, nor can a process it starts."""
    monkeypatch.setenv("ANECHOIC_VAULT", str(tmp_path / "vault"))
    monkeypatch.setenv("ANECHOIC_ANCHOR_DIR", str(tmp_path / "anchors"))


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.get_closest_marker("microphone"):
        item.add_marker(pytest.mark.xdist_group("real time"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # else one after another, in the order of the files
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)
