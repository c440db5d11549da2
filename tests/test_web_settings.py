"""Settings, profiles, microphones and skills on the page: through what the commands use."""

import json
import re
from pathlib import Path
from unittest import mock

import pytest

from pipeline import disclosures
from pipeline.devices import Device
from pipeline.errors import NoAudioDevice
from pipeline.retention import settings_of
from pipeline.session import acting, now
from pipeline.settings import Settings
from pipeline.skills.configuration import read_configuration
from tests.household import make, reopen, say
from tests.test_web import plan_in, shown_in
from tests.web_client import Browser, in_house


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Browser:
    monkeypatch.setenv("ANECHOIC_CONFIG_DIR", str(tmp_path / "config"))
    say(make(tmp_path), "mine")
    return in_house(tmp_path)


def settings(base: Path) -> Settings:
    with acting(vault := reopen(base)):
        return settings_of(vault, now)


def child(browser: Browser) -> None:
    fields = {"name": "tim", "child": "yes", "consent_by": "Ada"}
    assert browser.post("/settings/profiles", fields).status == 303


def test_how_long_a_child_may_be_silent(browser: Browser, tmp_path: Path) -> None:
    child(browser)
    fields = {"profile": "tim", "inactive": "7d"}
    assert browser.post("/settings/limits", fields).status == 303
    assert settings(tmp_path).policy_of("tim").inactive_s == 7 * 86400
    page = browser.get("/settings").text
    assert '<option value="7d" selected>erased after 7 days</option>' in page
    refused = browser.post("/settings/limits", {"inactive": "7d"})  # an adult's has none
    assert refused.status == 400


def test_limits_that_erase_at_once_say_how_much_first(browser: Browser, tmp_path: Path) -> None:
    (other,) = say(reopen(tmp_path), "budget")
    fields = {"words": "1h", "existing": "yes", "own_words": "boss"}
    shown = browser.post("/settings/limits", fields)
    assert shown.status == 200
    assert "2 interactions" in shown.text
    assert "chose to keep have no limit" in shown.text
    assert f'<li data-interaction="{other.hex()}"' in shown.text
    assert len(shown_in(browser.get("/").text)) == 2
    assert settings(tmp_path) == Settings()  # nothing has happened
    fresh = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', shown.text))
    assert fresh == {**fields, "agreed": "2 0 0"}
    say(reopen(tmp_path), "tea")
    again = browser.post("/settings/limits", fresh)  # to these three nobody agreed
    assert again.status == 200
    assert "Something has changed" in again.text
    assert len(shown_in(browser.get("/").text)) == 3
    assert browser.post("/settings/limits", {**fresh, "agreed": "3 0 0"}).status == 303
    assert not shown_in(browser.get("/").text)
    assert settings(tmp_path).words == ("boss",)


def test_limits_that_take_the_sound_alone_say_so(browser: Browser) -> None:
    fields = {"audio": "none", "existing": "yes"}
    shown = browser.post("/settings/limits", fields)
    assert "The sound of 1 interaction; the words stay." in shown.text
    assert browser.post("/settings/limits", {**fields, "agreed": "0 1 0"}).status == 303
    assert "mine" in browser.get("/").text


def test_limits_that_erase_nothing_at_once_are_set_without_asking(browser: Browser) -> None:
    """The control of the two before."""
    for fields in ({"words": "1h"}, {"words": "100y", "existing": "yes"}):
        assert browser.post("/settings/limits", fields).status == 303
    assert "mine" in browser.get("/").text


def test_a_microphone_is_bound_to_a_profile(browser: Browser, tmp_path: Path) -> None:
    child(browser)
    fields = {"name": "tim", "device": "nursery"}
    assert browser.post("/settings/profiles", fields).status == 303
    found = settings(tmp_path)
    assert found.of_device("Nursery USB") == "tim"
    assert found.policy_of("tim").is_child  # still one
    assert "What nursery hears is for tim alone" in browser.get("/settings").text
    other = browser.post("/settings/profiles", {"name": "ada", "device": "nursery"})
    assert other.status == 400
    assert browser.post("/settings/unbind", {**fields, "name": "ada"}).status == 404
    assert settings(tmp_path).of_device("Nursery USB") == "tim"
    gone = browser.post("/settings/unbind", fields)
    assert (gone.status, gone.headers["location"]) == (303, "/settings?unbound")
    assert settings(tmp_path).of_device("Nursery USB") is None
    assert "everybody" in browser.get("/settings?unbound").text
    assert browser.post("/settings/profiles", {"name": "ada", "device": "nursery"}).status == 303


def test_the_microphones_there_are(browser: Browser) -> None:
    rows = [Device(name, 1, 16000, is_default=False) for name in ("desk", "nursery")]
    with mock.patch("pipeline.devices.devices", return_value=rows):
        assert json.loads(browser.post("/microphones").body) == ["desk", "nursery"]
    with mock.patch("pipeline.devices.devices", side_effect=NoAudioDevice("none")):
        assert json.loads(browser.post("/microphones").body) == []
    assert browser.post("/microphones", csrf=False).status == 403


def test_removing_a_profile_keeps_what_was_heard(browser: Browser, tmp_path: Path) -> None:
    child(browser)
    say(reopen(tmp_path), "theirs", profile="tim")
    assert "keep what was heard" in browser.get("/settings").text
    assert browser.post("/settings/remove", {"name": "tim"}).status == 303
    assert settings(tmp_path).profile("tim") is None
    assert "theirs" in browser.get("/").text
    assert browser.post("/settings/remove", {"name": "tim"}).status == 404


def test_removing_a_profile_with_what_was_heard_shows_the_plan_first(
    browser: Browser, tmp_path: Path
) -> None:
    child(browser)
    (theirs,) = say(reopen(tmp_path), "theirs", profile="tim")
    page = browser.get("/settings").text
    form = page[page.index('value="profile"') :]
    stands = re.search(r'name="profile" value="([0-9a-f]+)"', form)
    assert stands
    fields = {"way": "profile", "profile": stands[1], "remove": "tim"}
    plan = browser.post("/plan", fields)
    assert theirs.hex() in plan.text
    assert "the profile <strong>tim</strong> is removed" in plan.text
    assert settings(tmp_path).profile("tim")  # nothing has happened
    done = browser.post("/forget", {**fields, "plan": plan_in(plan.text)})
    assert done.status == 303
    assert settings(tmp_path).profile("tim") is None
    assert len(shown_in(browser.get("/").text)) == 1


def test_forgetting_a_profile_alone_removes_none(browser: Browser, tmp_path: Path) -> None:
    """The control of the one before."""
    child(browser)
    say(reopen(tmp_path), "theirs", profile="tim")
    stands = re.search(r'<option value="([0-9a-f]+)">tim<', browser.get("/forget").text)
    assert stands
    fields = {"way": "profile", "profile": stands[1]}
    plan = plan_in(browser.post("/plan", fields).text)
    assert browser.post("/forget", {**fields, "plan": plan}).status == 303
    assert settings(tmp_path).profile("tim")


def test_skills_are_shown_with_what_they_may_see(browser: Browser) -> None:
    page = browser.get("/skills").text
    assert page.count("not allowed") == 4
    for what in ("Home Assistant", "Order", "Ride", "Message", "Is given", "Leaves for"):
        assert what in page
    assert "Withdraw" not in page


def test_a_skill_is_allowed_and_withdrawn_and_nothing_else_is_written(
    browser: Browser, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    before = '# mine\n[order]\nurl = "https://shop.example/hook/secret"  # to them\n\n[ride]\n'
    (config / "skills.toml").write_text(before)
    assert browser.post("/skills/allow", {"skill": "order", "wish": "allow"}).status == 303
    assert read_configuration()["order"].enabled
    page = browser.get("/skills").text
    assert "https://shop.example" in page
    assert "hook/secret" not in page
    assert browser.post("/skills/allow", {"skill": "order", "wish": "withdraw"}).status == 303
    after = (config / "skills.toml").read_text()
    assert after == before.replace("[order]\n", "[order]\nenabled = false\n")
    for fields in ({"skill": "order"}, {"skill": "nothing", "wish": "allow"}):
        assert browser.post("/skills/allow", fields).status in {400, 404}
    assert (
        browser.post("/skills/allow", {"skill": "order", "wish": "allow"}, csrf=False).status == 403
    )
    assert (config / "skills.toml").read_text() == after


def test_what_has_left_is_shown_by_interaction(browser: Browser, tmp_path: Path) -> None:
    vault = reopen(tmp_path)
    (gone, stays) = say(vault, "order a pizza", "and a coke")
    with acting(vault):
        for each in (gone, stays):
            to, fields = "https://shop.example", ("items",)
            disclosures.give(vault, each, "order", to, fields, "orders it", now())
    page = browser.get("/skills").text
    assert page.count("https://shop.example") == 2
    assert "pizza" not in page  # which fields, and not what was in them
    plan = plan_in(browser.post("/plan", {"way": "chosen", "id": gone.hex()}).text)
    with mock.patch("pipeline.skills.asking.running", side_effect=OSError):
        browser.post("/forget", {"plan": plan, "way": "chosen", "id": gone.hex()})
    page = browser.get("/skills").text
    assert gone.hex() not in page
    assert stays.hex() in page


def test_settings_that_are_lost_stop_no_other_page(browser: Browser, tmp_path: Path) -> None:
    child(browser)
    (path,) = (tmp_path / "vault" / "sealed" / "own").glob("*.settings")
    path.write_bytes(path.read_bytes()[:-1])
    (shown,) = shown_in(browser.get("/").text)
    for address in (f"/interactions/{shown}", "/agenda", "/receipts", "/forget"):
        assert browser.get(address).status == 200, address
    assert "unknown" in browser.get("/held").text
    for address in ("/machine", "/settings"):
        assert "restore COPY" in browser.get(address).text, address
    refused = browser.post("/settings/limits", {"words": "1h"})
    assert (refused.status, "restore COPY" in refused.text) == (500, True)
