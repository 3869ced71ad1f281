"""A ruling over more than the limit pays nothing unless two mediators have signed it."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from consumers.engine import admin
from consumers.engine.config import Settings, load_settings
from consumers.engine.publishing import Wire, binary_headers, make_publisher
from consumers.engine.trusting import Trusting
from ops.signing_keys import NewKey, make_key
from schemas.command_door import read_signed_command
from schemas.commands import PAYOUT_COMMANDS
from schemas.facts import MEDIATION_RULINGS
from schemas.keys import KeyRing, signing_key
from schemas.order_events import ORDER_EVENTS
from schemas.signatures import HEADER, signature_header
from tests.builders import T0
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.sending import sent_to
from tests.integration.small_world import said
from tests.integration.test_rulings import DAY
from tests.unit.test_gateway_core import a_command

O = "o-mediated"  # noqa: E741


class Court:
    """Two mediators with a key each, and a stage that asks for both above 9.99 EUR."""

    def __init__(self, folder: Path, url: str) -> None:
        self.keys = folder / "keys.json"
        self.private = {name: folder / f"{name}.json" for name in ("anna", "boris", "clerk")}
        for name, file in self.private.items():
            types = ["ruling.issued"] if name != "clerk" else ["command.*"]
            make_key(NewKey(name, ["/escrow/mediators"], types), file, self.keys)
        self.signing: dict[str, Any] = {
            "keys_file": self.keys,
            "required": ["mediation_rulings"],
            "ruling_limits": {"EUR": 999},
        }
        self.filler = Filler(url, trusting=Trusting(load_settings(signing=self.signing)))
        self.filler.records(
            [
                said("payment.captured", O, 1),
                said("refund.requested", O, 2, amount_minor=400),
                said("mediation.requested", O, 10 * DAY + 2),
                said("payment.captured", "o-small", 1, amount_minor=999),
            ]
        )


@pytest.fixture
def court(tmp_path: Path, database_url: str) -> Court:
    return Court(tmp_path, database_url)


@pytest.fixture
def escrow(settings: Settings, court: Court, monkeypatch: pytest.MonkeyPatch) -> Program:
    admin.apply_topics(settings)
    monkeypatch.setenv("ESCROW_SIGNING__KEYS_FILE", str(court.keys))
    monkeypatch.setenv("ESCROW_SIGNING__REQUIRED", json.dumps(court.signing["required"]))
    monkeypatch.setenv("ESCROW_SIGNING__RULING_LIMITS", '{"EUR": 999}')
    return Program(settings, monkeypatch)


def fates(escrow: Program) -> list[tuple[str, str]]:
    return [(letter["code"], letter["detail"]) for letter in escrow.json("dlq", "list")]


def test_a_ruling_over_the_limit_takes_two_people(
    court: Court,
    escrow: Program,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issue = ("ruling", "issue", O, "--outcome", "refund_full", "--mediator", "anna")
    aside = tmp_path / "ruling.jsonl"
    assert "no key to sign with" in escrow(*issue, "--to", str(aside), code=2).stderr
    monkeypatch.setenv("ESCROW_SIGNING__PRIVATE_KEY_FILE", str(court.private["anna"]))
    escrow(*issue, "--to", str(aside))
    alone = escrow("ruling", "cosign", str(aside), "--yes", code=1)
    assert "bad_signature: it needs the signatures of two mediators" in alone.stderr
    escrow(*issue, "--yes")  # nobody keeps her from sending it alone
    court.filler.records(sent_to(settings.kafka.bootstrap_servers, [MEDIATION_RULINGS])[-1:])
    assert escrow.json("ruling", "list")[0]["status"] == "IN_MEDIATION"
    ((code, detail),) = fates(escrow)
    assert code == "bad_signature"
    assert "two mediators" in detail
    monkeypatch.setenv("ESCROW_SIGNING__PRIVATE_KEY_FILE", str(court.private["clerk"]))
    assert "may not sign" in escrow("ruling", "cosign", str(aside), "--yes", code=1).stderr
    monkeypatch.setenv("ESCROW_SIGNING__PRIVATE_KEY_FILE", str(court.private["boris"]))
    escrow("ruling", "cosign", str(aside), "--dry-run")
    escrow("ruling", "cosign", str(aside), "--yes")
    both = sent_to(settings.kafka.bootstrap_servers, [MEDIATION_RULINGS])[-1]
    court.filler.records([both])
    assert escrow.json("ruling", "list") == []


def test_a_ruling_that_comes_before_its_payment_takes_two_people_whatever_it_will_move(
    court: Court, escrow: Program
) -> None:
    record = said("ruling.issued", "o-unknown", 1, outcome="release")
    record = record._replace(
        headers=[(n, b"/escrow/mediators" if n == "ce_source" else v) for n, v in record.headers]
    )
    key = signing_key(court.private["anna"])
    header = signature_header(key, record.topic, record.key, record.value, record.headers)
    court.filler.records([record._replace(headers=[*record.headers, header])])
    assert [code for code, _ in fates(escrow)] == ["bad_signature"]


def test_what_the_relay_sends_to_gateways_carries_its_signature(
    settings: Settings, tmp_path: Path, kafka: str
) -> None:
    keys, private = tmp_path / "keys.json", tmp_path / "relay.json"
    make_key(NewKey("relay", ["escrow"], ["payout.release"]), private, keys)
    signing = settings.signing.model_copy(update={"private_key_file": private})
    publisher = make_publisher(settings.model_copy(update={"signing": signing}))
    order = f"o-{uuid.uuid4().hex[:8]}"
    value = a_command(order_id=order).model_dump_json().encode()
    wires = [
        Wire(topic, order.encode(), value, binary_headers("escrow", "payout.release", order), T0)
        for topic in (PAYOUT_COMMANDS, ORDER_EVENTS)
    ]
    admin.apply_topics(settings)
    assert publisher.publish(wires) == [None, None]
    publisher.close()
    (command,) = [r for r in sent_to(kafka, [PAYOUT_COMMANDS]) if r.key == order.encode()]
    (event,) = [r for r in sent_to(kafka, [ORDER_EVENTS]) if r.key == order.encode()]
    ring = KeyRing.from_file(keys)
    place = (command.topic, command.key, command.value, command.headers, command.timestamp_ms)
    assert read_signed_command(ring, *place).order_id == order
    assert HEADER not in dict(event.headers)
