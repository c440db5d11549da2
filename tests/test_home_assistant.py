"""With a real Home Assistant, both ways: it hears by us, and what we hear switches its light.

It is no dependency of the tests: they run where `tests/home_assistant.py` finds one. What one of
them exchanged with us is recorded in `tests/vectors`, and is played in `test_wyoming.py` and
`test_skills_webhook.py` always.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import home_assistant
from tests.home_assistant import LIGHT, House, house
from tests.test_wyoming_model import pcm_of
from tests.test_wyoming_serve import TIMER, TIMER_TEXT, served, shell_in

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(
        not home_assistant.PYTHON, reason="ANECHOIC_HOME_ASSISTANT names no Python that has it"
    ),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("house") / "config") as it:
        yield it


def test_it_hears_by_us_and_is_told_where_that_breaks_off(home: House, tmp_path: Path) -> None:
    shell = shell_in(tmp_path)
    it = served(shell)
    try:
        engine = home.adds_wyoming(it.port)
        about = home.request(f"/api/stt/{engine}")
        assert set(about["languages"]) == {"en", "en-US"}
        with home.talking() as wire:
            pipeline = wire.pipeline(engine)
            heard = wire.says(pipeline, pcm_of(TIMER))
            assert heard["stt-end"]["stt_output"]["text"] == TIMER_TEXT
            assert "intent-end" in heard
            (row,) = shell.json("history")
            assert row["text"] == TIMER_TEXT
            (left,) = shell.json("show", row["interaction"])["disclosures"]
            assert left["to"] == "Wyoming client at 127.0.0.1"
            it.process.kill()
            it.process.wait()
            broken = wire.says(pipeline, pcm_of(TIMER))
        assert broken["error"]["code"] == "stt-stream-failed"
        assert "stt-end" not in broken
    finally:
        it.process.kill()
        it.process.communicate()


def test_what_is_said_switches_its_light_and_is_on_record(home: House, tmp_path: Path) -> None:
    shell, token = shell_in(tmp_path), tmp_path / "token"
    token.write_text(home.token)
    token.chmod(0o600)
    (tmp_path / "config").mkdir()
    row = f'[home-assistant]\nenabled = true\nurl = "{home.url}"\ntoken_file = "{token}"\n'
    (tmp_path / "config" / "skills.toml").write_text(row)
    shell = shell.having(ANECHOIC_CONFIG_DIR=str(tmp_path / "config"))
    assert not home.is_on(LIGHT)
    assert shell("ask", stdin="i left the kitchen light on\n").code == 0
    assert not home.is_on(LIGHT)
    said = shell("ask", stdin="turn on the kitchen light\n")
    assert "Turned on the light" in said.out
    assert home.is_on(LIGHT)
    done = shell("forget", "--last", "--yes")
    assert "home-assistant" in done.out + done.err
    token.write_text("another")
    assert "declined" in shell("ask", stdin="turn off the kitchen light\n").out
    assert home.is_on(LIGHT)
