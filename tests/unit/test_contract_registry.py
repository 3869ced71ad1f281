"""A schema registry has all schemas after a registration, once; what it refuses is named; records that name an id pass."""

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from ops.cli.main import app
from ops.contract import registry as client
from ops.contract.json_schemas import closed
from ops.contract.messages import MESSAGES
from ops.contract.registry import HEADER, Registry, RegistryTrouble, plan, subjects
from schemas.door import Fact, decode
from schemas.facts import FACT_TYPES
from tests.builders import a_record
from tests.unit.fake_registry import WITHOUT_BODY, FakeRegistry
from tests.unit.records import BOTH, Mode

CAPTURED: Final = "escrow.payments.v1-payment.captured"
LOOK: Final = f"/subjects/{CAPTURED}"
WRITE: Final = f"{LOOK}/versions"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    made = FakeRegistry()
    yield made
    made.close()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of all subjects are enough for what goes wrong."""
    some = list(subjects())[:3]
    monkeypatch.setattr(client, "subjects", lambda: iter(some))


def run(url: str, *words: str, code: int = 0) -> Any:
    asked = ["contract", "register", "--registry", url, *words]
    answer = CliRunner().invoke(app, asked)
    assert answer.exit_code == code, answer.output
    return answer


def states(url: str, *words: str, code: int = 0) -> dict[str, str]:
    said = json.loads(run(url, "--json", *words, code=code).stdout)
    return {entry["subject"]: entry["state"] for entry in said}


def test_all_are_registered_once_and_then_there(registry: FakeRegistry) -> None:
    assert set(states(registry.url, "--dry-run").values()) == {"new"}
    assert "--yes" in run(registry.url, code=2).stderr.replace("\n", " ")
    assert (registry.writes(), registry.subjects) == (0, {})
    assert set(states(registry.url, "--yes").values()) == {"registered"}
    assert set(registry.subjects) == {subject for subject, _ in subjects()}
    number = registry.writes()
    assert number == len(registry.subjects) > len(MESSAGES)  # questions go to two topics
    assert set(states(registry.url, "--yes").values()) == {"there"}
    assert registry.writes() == number
    assert {kind for kind, _ in registry.asked} == {"application/vnd.schemaregistry.v1+json"}
    assert json.loads(registry.subjects[CAPTURED][0]) == closed("payment.captured")
    assert "payment.captured" in run(registry.url).stdout


@pytest.mark.usefixtures("few")
def test_a_changed_schema_is_a_new_version(registry: FakeRegistry) -> None:
    states(registry.url, "--yes")
    registry.subjects[CAPTURED] = ['{"type":"object"}']
    assert states(registry.url, "--dry-run")[CAPTURED] == "new version"
    assert states(registry.url, "--yes")[CAPTURED] == "registered"
    assert len(registry.subjects[CAPTURED]) == 2


@pytest.mark.usefixtures("few")
def test_what_does_not_fit_is_named_and_the_others_go(registry: FakeRegistry) -> None:
    registry.subjects[CAPTURED] = ['{"type":"object"}']
    registry.incompatible.add(CAPTURED)
    found = states(registry.url, "--yes", code=1)
    assert found.pop(CAPTURED) == "incompatible"
    assert set(found.values()) == {"registered"}
    page = run(registry.url, code=1).stdout
    assert "a field was taken away" in page
    # and where only the writing says so: two registered at the same time
    answer = b'{"error_code":409,"message":"Schema being registered is incompatible"}'
    registry.subjects.clear()
    registry.troubles[WRITE] = [(409, answer)]
    assert states(registry.url, "--yes", code=1)[CAPTURED] == "incompatible"


@pytest.mark.parametrize("path", [LOOK, WRITE])
@pytest.mark.usefixtures("few")
def test_a_schema_that_it_cannot_read_is_refused_with_its_words(
    registry: FakeRegistry, path: str
) -> None:
    registry.troubles[path] = [(422, b'{"error_code":42201,"message":"Invalid schema"}')]
    assert states(registry.url, "--yes", code=1)[CAPTURED] == "refused"
    registry.troubles[path] = [(422, b'{"error_code":42201,"message":"Invalid schema"}')]
    registry.subjects.clear()
    assert "42201: Invalid schema" in run(registry.url, "--yes", code=1).stdout


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b'{"error_code":50001,"message":"Error in the backend data store"}', "HTTP 500"),
        (503, b"", "HTTP 503"),
        (401, b'{"error_code":401,"message":"Unauthorized"}', "HTTP 401"),
        (200, b"<html>", "is this a schema registry?"),
        (200, b"{}", "has no id"),
        (404, b"not found", "is this a schema registry?"),
        (WITHOUT_BODY, b"", "Remote end closed connection"),
    ],
)
@pytest.mark.usefixtures("few")
def test_one_that_does_not_answer_is_said_to_and_the_next_run_goes_on(
    registry: FakeRegistry, status: int, body: bytes, why: str
) -> None:
    last = [subject for subject, _ in client.subjects()][-1]
    registry.troubles[f"/subjects/{last}/versions"] = [(status, body)]
    assert why in run(registry.url, "--yes", code=2).stderr.replace("\n", " ")
    number = registry.writes()
    assert set(states(registry.url, "--yes").values()) == {"there", "registered"}
    assert registry.writes() == number + 1


def test_no_answer_and_no_registry() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with pytest.raises(RegistryTrouble, match="timed out"):
            plan(Registry(url, timeout_seconds=0.05))
    assert "Connection refused" in run(url, code=2).stderr.replace("\n", " ")
    for wrong in (
        "ftp://x",
        "localhost:8081",
        "http://anna:secret@127.0.0.1",
        "file:///etc/passwd",
    ):
        assert "is no http or https address" in run(wrong, code=2).stderr.replace("\n", " ")


@pytest.mark.usefixtures("few")
def test_its_user_says_who_he_is(monkeypatch: pytest.MonkeyPatch) -> None:
    word = base64.b64encode(b"anna:s3cret").decode()
    registry = FakeRegistry(user=f"Basic {word}")
    try:
        assert "HTTP 401" in run(registry.url, code=2).stderr
        monkeypatch.delenv("ESCROW_REGISTRY_PASSWORD", raising=False)
        assert "ESCROW_REGISTRY_PASSWORD" in run(registry.url, "--user", "anna", code=2).stderr
        monkeypatch.setenv("ESCROW_REGISTRY_PASSWORD", "s3cret")
        assert set(states(registry.url, "--user", "anna", "--yes").values()) == {"registered"}
    finally:
        registry.close()


@pytest.mark.parametrize(("guids", "size", "magic"), [(True, 17, 1), (False, 5, 0)])
def test_the_header_names_the_schema(guids: bool, size: int, magic: int) -> None:
    registry = FakeRegistry(guids=guids)
    try:
        entry = Registry(registry.url).register("t-x", "payment.captured", {"type": "object"})
    finally:
        registry.close()
    assert entry.header is not None
    raw = base64.b64decode(entry.header)
    assert (len(raw), raw[0]) == (size, magic)
    assert guids or int.from_bytes(raw[1:]) == entry.id
    with pytest.raises(RegistryTrouble, match="is none"):
        client._header_value(2**40, None)


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("type_name", FACT_TYPES)
def test_a_record_that_names_a_schema_is_the_same_fact(type_name: str, mode: Mode) -> None:
    plain = a_record(type_name, mode=mode)
    raw = b"\x01" + bytes(range(0xF0, 0x100))  # no UTF-8
    named = plain._replace(headers=(*plain.headers, (HEADER, raw)))
    fact = decode(plain)
    assert isinstance(fact, Fact)
    assert decode(named) == fact
