"""Messages, orders, rides and Home Assistant, against a real HTTP server that plays the other side.

Each use runs in the process of the skill, as it does for a user.
"""

import datetime as dt
import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.disclosures import Given, Reference
from pipeline.errors import Refused
from pipeline.skills import asking, use
from pipeline.skills.catalogue import described, known_skill
from pipeline.skills.interface import CANNOT, Declined, NotSent, Outcome, Result, Unknown
from pipeline.skills.posting import origin
from tests.shop import Shop, configure, enable, shop

REFERENCE = bytes(range(16)).hex()
ORDER = {"items": "two large pizzas", "text": "i would like two large pizzas for the doctor"}


@pytest.fixture
def the_shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shop]:
    with shop() as it:
        enable(monkeypatch, tmp_path / "config", it.url, "message", "order", "ride")
        yield it


def used(name: str, fields: dict[str, str]) -> Outcome:
    reference = Reference(bytes.fromhex(REFERENCE))
    return use.carry_out(use.prepare(name, fields), reference)


def asked(name: str, seconds: float = 10) -> dict[str, str]:
    return asking.ask([Given("", name, REFERENCE)], seconds)


# A shop that does as it should


def test_an_order_is_taken_with_its_fields_and_no_more(the_shop: Shop) -> None:
    assert used("order", ORDER) == Result({"text": "it is on its way"})
    fields = {"items": "two large pizzas"}
    assert the_shop.seen == [{"act": "order", "reference": REFERENCE, "fields": fields}]
    assert the_shop.headers[0]["Idempotency-Key"] == f"order-{REFERENCE}"
    assert the_shop.headers[0]["Content-Type"] == "application/json"
    assert "Authorization" not in the_shop.headers[0]
    assert set(the_shop.paths) == {"/hook/7f3a"}


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("message", {"recipient": "anna", "text": "i am late"}),
        ("ride", {"to": "the airport", "from": "home", "when": "2026-03-01T08:00:00Z"}),
    ],
)
def test_messages_and_rides_too(the_shop: Shop, name: str, fields: dict[str, str]) -> None:
    assert isinstance(used(name, fields), Result)
    assert the_shop.orders == [{"act": name, "reference": REFERENCE, "fields": fields}]


def test_an_erasure_is_asked_for_by_the_reference_alone(the_shop: Shop) -> None:
    assert asked("order") == {REFERENCE: "erased"}
    assert the_shop.seen == [{"act": "erase", "reference": REFERENCE}]
    the_shop.manner = "refusing"
    assert asked("order") == {REFERENCE: "refused"}


def test_many_are_asked_in_one_process_and_one_skill_holds_up_no_other(
    the_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = [Given("", "order", bytes([n] * 16).hex()) for n in range(40)]
    with shop("silent") as other:
        rows = [
            f'[{n}]\nenabled = true\nurl = "{s.url}"\n'
            for n, s in (("order", the_shop), ("ride", other))
        ]
        configure(monkeypatch, tmp_path / "config", "".join(rows))
        start = time.monotonic()
        found = asking.ask([*many, Given("", "ride", REFERENCE)], 3)
        assert time.monotonic() - start < 5
    assert found == {it.reference: "erased" for it in many}
    assert other.erasures == [REFERENCE]


def test_who_is_not_enabled_is_not_asked(
    the_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = f'[order]\nenabled = false\nurl = "{the_shop.url}"\n'
    path = configure(monkeypatch, tmp_path / "config", text)
    assert asked("order") == {}
    path.write_text("[order")
    assert asked("order") == asked("tarot") == {}
    assert not the_shop.seen


# A shop that does not


@pytest.mark.parametrize(
    ("manner", "outcome"),
    [
        ("declining", Declined()),
        ("broken", Unknown()),
        ("hanging_up", Unknown()),
        ("hotel", Unknown()),
        ("lying", Unknown()),
        ("shy", Unknown()),
        ("mistaken", Unknown()),
        ("deep", Unknown()),
        ("huge", Unknown()),
    ],
)
def test_nothing_but_an_answer_to_it_counts(the_shop: Shop, manner: str, outcome: Outcome) -> None:
    the_shop.manner = manner
    assert used("order", ORDER) == outcome
    assert asked("order") == {}
    assert (len(the_shop.orders), len(the_shop.erasures)) == (1, 1)  # and nothing is sent twice


@pytest.mark.parametrize("manner", ["silent", "dripping"])
def test_one_that_never_ends_is_unknown_in_time(
    the_shop: Shop, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_shop.manner = manner
    monkeypatch.setattr(use, "USE_S", 1.5)
    start = time.monotonic()
    assert used("order", ORDER) == Unknown()
    assert asked("order", 1.5) == {}
    assert time.monotonic() - start < 6
    assert len(the_shop.orders) == 1


def test_an_answer_may_be_late(the_shop: Shop) -> None:
    the_shop.manner = "late"
    assert asked("order", 1) == {}
    assert asked("order", 10) == {REFERENCE: "erased"}


def test_a_redirect_leads_nowhere(the_shop: Shop) -> None:
    with shop() as other:
        the_shop.manner, the_shop.elsewhere = "redirecting", other.url
        assert used("order", ORDER) == Unknown()
        assert asked("order") == {}
        assert not other.seen


def test_nobody_there_is_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with shop() as gone:
        pass
    enable(monkeypatch, tmp_path / "config", gone.url, "order")
    assert used("order", ORDER) == NotSent()
    assert asked("order") == {}


def test_a_proxy_is_used_if_the_user_names_it_only(
    the_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with shop() as proxy:
        there = proxy.url.removesuffix("/hook/7f3a")
        for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, there)
        assert isinstance(used("order", ORDER), Result)
        assert not proxy.seen
        row = f'[order]\nenabled = true\nurl = "{the_shop.url}"\nproxy = "{there}"\n'
        configure(monkeypatch, tmp_path / "config", row)
        assert isinstance(used("order", ORDER), Result)  # the control
        assert proxy.paths == [the_shop.url]
        row = row.replace("http://localhost", "https://shop.example", 1)
        configure(monkeypatch, tmp_path / "config", row)
        assert used("order", ORDER) == NotSent()
        assert proxy.paths[1].startswith("shop.example:")
    assert len(the_shop.seen) == 1


def test_a_proxy_that_expects_tls_is_refused_before_a_word_is_sent(
    the_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with shop() as proxy:
        there = proxy.url.removesuffix("/hook/7f3a").replace("http:", "https:")
        row = f'[order]\nenabled = true\nurl = "{the_shop.url}"\nproxy = "{there}"\n'
        configure(monkeypatch, tmp_path / "config", row)
        with pytest.raises(Refused, match="a proxy is http://HOST:PORT"):
            used("order", ORDER)
        assert not proxy.seen + the_shop.seen


# Over TLS


def certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{name}.pem").write_bytes(made.public_bytes(encoding))
    (folder / f"{name}.key").write_bytes(key.private_bytes(encoding, *form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return folder / f"{name}.pem", context


@pytest.mark.parametrize(
    ("name", "trusted", "outcome"),
    [
        ("localhost", True, Result({"text": "it is on its way"})),
        ("localhost", False, NotSent()),
        ("shop.example", True, NotSent()),
    ],
)
def test_tls_is_verified(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, trusted: bool, outcome: Outcome
) -> None:
    pem, context = certificate(tmp_path, name)
    with shop(context=context) as it:
        ca = f'ca_file = "{pem}"\n' * trusted
        row = f'[order]\nenabled = true\nurl = "{it.url}"\n{ca}'
        configure(monkeypatch, tmp_path / "config", row)
        assert used("order", ORDER) == outcome
        assert len(it.seen) == isinstance(outcome, Result)


# Home Assistant


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shop]:
    with shop("home") as it:
        token = tmp_path / "token"
        token.write_text("long-lived\n")
        token.chmod(0o600)
        base = it.url.removesuffix("/hook/7f3a")
        row = f'[home-assistant]\nenabled = true\nurl = "{base}/"\ntoken_file = "{token}"\n'
        configure(monkeypatch, tmp_path / "config", row)
        yield it


def test_words_are_handed_to_home_assistant(home: Shop, tmp_path: Path) -> None:
    outcome = used("home-assistant", {"text": "turn on the lamp", "recipient": "anna"})
    assert outcome == Result({"text": "turned on lamp", "kind": "action_done"})
    assert home.seen == [{"text": "turn on the lamp"}]
    assert home.paths == ["/api/conversation/process"]
    assert home.headers[0]["Authorization"] == "Bearer long-lived"
    settings = tmp_path / "config" / "skills.toml"
    settings.write_text(settings.read_text() + 'language = "en"\n')
    used("home-assistant", {"text": "turn on the lamp"})
    assert home.seen[1] == {"text": "turn on the lamp", "language": "en"}


def test_what_a_real_home_assistant_answered_is_understood(home: Shop, tmp_path: Path) -> None:
    home.manner = "recorded"
    outcome = used("home-assistant", {"text": "turn on the kitchen light"})
    assert outcome == Result({"text": "Turned on the light", "kind": "action_done"})
    outcome = used("home-assistant", {"text": "turn on the cellar light"})
    assert isinstance(outcome, Result)
    assert outcome.answer["kind"] == "error"
    assert outcome.answer["text"].startswith("Sorry,")
    assert used("home-assistant", {"text": "hi"}) == Declined()  # the token is none
    settings = tmp_path / "config" / "skills.toml"
    settings.write_text(settings.read_text() + 'agent = "nope"\n')
    assert used("home-assistant", {"text": "hi"}) == Declined()  # nor is the agent one


def test_home_assistant_says_no_or_nothing(home: Shop) -> None:
    home.manner = "unauthorised"
    assert used("home-assistant", {"text": "turn on the lamp"}) == Declined()
    for manner in ("hotel", "hanging_up", "broken"):
        home.manner = manner
        assert used("home-assistant", {"text": "turn on the lamp"}) == Unknown()


def test_home_assistant_cannot_be_asked(home: Shop) -> None:
    assert asked("home-assistant") == {REFERENCE: CANNOT}
    assert not home.seen


# The configuration


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[order", "Expected"),
        ("order = 1", "tables named after skills"),
        ("[order]\nurll = ''", "found 'urll'"),
        ("[order]\nenabled = 'yes'", "true or false"),
        ("[order]\nenabled = true\nurl = 7", "is a text"),
        ("[order]\nenabled = true\nurl = 'ftp://shop'", "a URL is"),
        ("[order]\nenabled = true\nurl = 'http://me:secret@shop'", "without a user"),
        ("[order]\nenabled = true\nurl = 'http://shop:port'", "a URL is"),
        ("[order]\nfields = 'items'", "a list of names"),
        ("[order]\nenabled = true\ntoken_variable = 'NOT_SET'", "NOT_SET"),
        ("[order]\nenabled = true\ntoken_file = '/not/there'", "cannot be read"),
        ("[order]\nenabled = true\n[order.options]\na = 1", "holds texts"),
    ],
)
def test_a_bad_configuration_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, problem: str
) -> None:
    configure(monkeypatch, tmp_path, text)
    with pytest.raises(Refused, match=problem) as error:
        known_skill("order")
    assert "secret" not in str(error.value)
    assert "skills.toml" in str(error.value)


def test_a_secret_is_in_a_variable_or_a_file_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "from the variable")
    configure(monkeypatch, tmp_path, "[order]\nenabled = true\ntoken_variable = 'SHOP_TOKEN'\n")
    known = known_skill("order")
    assert known.configured.settings == {"token": "from the variable"}
    assert "from the variable" not in repr(known)
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o640)
    configure(monkeypatch, tmp_path, f"[order]\nenabled = true\ntoken_file = '{secret}'\n")
    with pytest.raises(Refused, match="chmod 600"):
        known_skill("order")


def test_what_a_skill_is_for_can_be_read(the_shop: Shop) -> None:
    manifest = described(known_skill("order")).manifest
    assert manifest
    assert manifest.leaves
    assert [(it.name, it.required) for it in manifest.fields] == [("items", True), ("when", False)]
    assert origin(the_shop.url) == the_shop.url.removesuffix("/hook/7f3a")  # its path is a secret


def test_the_protocol_is_as_the_design_has_it(the_shop: Shop) -> None:
    used("order", ORDER)
    asked("order")
    text = (Path(__file__).parent.parent / "pipeline" / "DESIGN.md").read_text()
    for row in the_shop.seen:
        shown = json.dumps(
            row | ({"fields": {"items": "…"}} if "fields" in row else {}), ensure_ascii=False
        )
        assert shown.replace(REFERENCE, "REFERENCE") in text
