"""A person can stop what is sent, never what is decided; what is too much waits for one."""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner
from typing_extensions import override

from consumers.engine.publishing import Publisher, Wire
from consumers.engine.relay import Relay
from consumers.engine.safeguards import SendingSettings
from ops.cli.main import app
from ops.figure_families import figure_families
from schemas.commands import command_id
from schemas.door import Record
from schemas.facts import OPERATOR_ACTIONS
from schemas.instructions import INSTRUCTION_TYPES
from storage import attention, overview, sending
from storage.dead_letter_reading import letters
from storage.engine import stage_engine
from storage.figures import figures
from storage.migrate import upgrade
from storage.outbox import SLICES
from tests.builders import T0, compact
from tests.integration.sending import Stages, rows, run
from tests.integration.small_world import said

CONTROLS: Final = SendingSettings(operator_controls=True)
DATA: Final[dict[str, dict[str, Any]]] = {
    "sending.paused": {"scope": "all"},
    "sending.resumed": {"scope": "all"},
    "command.held": {"order_id": "o-1", "command_id": "c-1"},
    "command.released": {"order_id": "o-1", "command_id": "c-1"},
    "dead_letter.discarded": {"topic": "escrow.payments.v1", "partition": 0, "offset": 0},
}


def instruction(type_name: str, n: int = 1, note: str = "why", **changes: Any) -> Record:
    data = {**DATA[type_name], **changes}
    model = INSTRUCTION_TYPES[type_name].model
    value = {**data, "action_id": f"a-{n}", "operator_id": "anna", "note": note}
    key: str = model.model_validate(value).key  # type: ignore[attr-defined]
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{type_name}-{n}".encode()),
        ("ce_source", b"/escrow/operators"),
        ("ce_type", type_name.encode()),
    ]
    return Record(OPERATOR_ACTIONS, 0, 0, T0 + n, key.encode(), compact(value), headers)


class Recorder(Publisher):
    """A broker that takes everything, and remembers it."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.sent: list[Wire] = []

    @override
    def publish(self, records: Iterable[Wire]) -> list[Exception | None]:
        wires = list(records)
        self.sent += wires
        return [None] * len(wires)


class Line:
    """Stages that take instructions, and relays over a broker that forgets nothing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.stages = Stages(engine, instructions=True)
        self.broker = Recorder()

    def relay(self, settings: SendingSettings = CONTROLS) -> Relay:
        relay = Relay(self.engine, self.broker, range(SLICES), sending=settings)
        relay.take()
        return relay

    def settled(self, order: str, amount_minor: int = 1000, **data: Any) -> str:
        """An order that is released; the id of its payout."""
        assert (
            self.stages.decide(
                said("payment.captured", order, 1, amount_minor=amount_minor, **data),
                said("delivery.confirmed", order, 2),
            )
            == [("applied", None)] * 2
        )
        return command_id(order, "payout", 1)

    def sent(self, relay: Relay) -> list[str]:
        """Ids of the commands that go out now; everything else goes, too."""
        self.broker.sent.clear()
        while relay.step():
            pass
        return [
            json.loads(wire.value)["command_id"]
            for wire in self.broker.sent
            if wire.topic.endswith("-commands.v1")
        ]

    def told(self) -> set[str]:
        """Topics of what went out last."""
        return {wire.topic for wire in self.broker.sent}

    def stopped(self) -> list[tuple[str, str]]:
        with self.engine.begin() as connection:
            return [(one.command_id, one.why) for one in sending.held(connection, 100)]

    def paused(self) -> list[tuple[str, str]]:
        with self.engine.begin() as connection:
            return [(one.scope, one.why) for one in sending.pauses(connection)]


@pytest.fixture
def line(database_url: str) -> Iterator[Line]:
    upgrade(database_url)
    engine = stage_engine(database_url)
    yield Line(engine)
    engine.dispose()


APPLIED: Final = [("applied", None)]


def test_where_operators_do_not_control_sending_the_types_are_unknown(line: Line) -> None:
    silent = Stages(line.engine)
    records = [instruction(type_name) for type_name in INSTRUCTION_TYPES]
    assert silent.decide(*records) == [("dead_letter", "unknown_type")] * len(INSTRUCTION_TYPES)


def test_nothing_goes_out_while_sending_is_paused_and_everything_is_decided(line: Line) -> None:
    relay = line.relay()
    assert line.stages.decide(instruction("sending.paused")) == APPLIED
    payout = line.settled("o-1")
    assert line.sent(relay) == []
    assert line.told() == {"escrow.order-events.v1"}
    assert line.paused() == [("all", "operator")]
    assert line.stages.decide(instruction("sending.resumed")) == APPLIED
    assert line.sent(relay) == [payout]
    assert line.paused() == []


def test_a_pause_of_one_kind_stops_that_kind_alone(line: Line) -> None:
    relay = line.relay()
    line.stages.decide(instruction("sending.paused", scope="refund"))
    payout = line.settled("o-1")
    line.stages.decide(
        said("payment.captured", "o-2", 1),
        said("refund.requested", "o-2", 2, amount_minor=1000),
        said("refund.offer_accepted", "o-2", 3),
    )
    assert line.sent(relay) == [payout]
    line.stages.decide(instruction("sending.resumed", n=2, scope="payout"))
    assert line.sent(relay) == []
    line.stages.decide(instruction("sending.resumed", n=3))
    assert line.sent(relay) == [command_id("o-2", "refund", 1)]


def test_an_instruction_takes_effect_once(line: Line) -> None:
    pause, resume = instruction("sending.paused"), instruction("sending.resumed")
    other = instruction("sending.paused", note="another")
    assert line.stages.decide(pause, resume, pause, other) == [
        ("applied", None),
        ("applied", None),
        ("duplicate", None),
        ("dead_letter", "id_conflict"),
    ]
    assert rows(line.engine, "SELECT count(*) FROM instructions") == [(2,)]
    assert line.paused() == []


def test_a_held_command_waits_whenever_it_was_decided_and_its_order_does_not(line: Line) -> None:
    relay = line.relay()
    early = command_id("o-1", "payout", 1)
    line.stages.decide(instruction("command.held", command_id=early))
    assert line.settled("o-1") == early
    other = line.settled("o-2")
    assert line.sent(relay) == [other]
    assert line.stopped() == [(early, "operator")]
    line.stages.decide(instruction("command.released", command_id=early))
    assert line.sent(relay) == [early]
    assert line.stopped() == []


def test_a_command_over_the_cap_waits_for_a_person(line: Line) -> None:
    caps = SendingSettings(operator_controls=True, command_max={"EUR": 999})
    relay = line.relay(caps)
    small, large = line.settled("o-1", 999), line.settled("o-2", 1000)
    other_currency = line.settled("o-3", 5000, currency="USD")
    assert line.sent(relay) == [small, other_currency]
    assert line.stopped() == [(large, "command_cap")]
    line.stages.decide(instruction("command.released", order_id="o-2", command_id=large))
    assert line.sent(relay) == [large]


def test_one_supplier_gets_so_much_an_hour_and_another_the_same(line: Line) -> None:
    caps = SendingSettings(operator_controls=True, supplier_hour_max={"EUR": 2500})
    relay = line.relay(caps)
    first, second = line.settled("o-1"), line.settled("o-2")
    assert line.sent(relay) == [first, second]
    third = line.settled("o-3")
    other = line.settled("o-4", supplier_id="s-2")
    assert line.sent(relay) == [other]
    assert line.stopped() == [(third, "supplier_cap")]
    run(line.engine, "UPDATE sending_grants SET at = at - interval '61 minutes'")
    assert line.sent(line.relay(caps)) == [], "what a person must look at does not go by itself"
    fourth = line.settled("o-5")
    assert line.sent(relay) == [fourth]


def test_too_much_in_an_hour_opens_the_breaker_until_a_person_resumes(line: Line) -> None:
    caps = SendingSettings(operator_controls=True, hour_max={"EUR": 2500})
    relay = line.relay(caps)
    payouts = [line.settled(f"o-{n}") for n in range(4)]
    assert line.sent(relay) == payouts[:2]
    assert line.paused() == [("all", "breaker")]
    assert line.sent(relay) == []
    line.stages.decide(instruction("sending.resumed"))
    assert line.sent(relay) == payouts[2:]
    assert line.paused() == []


def test_an_attempt_is_counted_once_however_often_it_is_sent(line: Line) -> None:
    caps = SendingSettings(operator_controls=True, hour_max={"EUR": 1500})
    payout = line.settled("o-1")
    dies = line.relay(caps)
    assert f"{payout}.1" in {row.sent_id for row in dies.read()}
    assert line.sent(line.relay(caps)) == [payout]
    assert rows(line.engine, "SELECT count(*), sum(amount_minor) FROM sending_grants") == [
        (1, 1000)
    ]
    assert line.paused() == []


def test_two_relays_count_together(line: Line, database_url: str) -> None:
    caps = SendingSettings(operator_controls=True, supplier_hour_max={"EUR": 3500})
    payouts = {line.settled(f"o-{n}") for n in range(8)}
    relays = [
        Relay(line.engine, line.broker, slices, sending=caps) for slices in (range(8), range(8, 16))
    ]
    for relay in relays:
        relay.take()
    sent = [command for relay in relays for command in line.sent(relay)]
    assert len(sent) == 3
    assert {command for command, _ in line.stopped()} == payouts - set(sent)


def test_a_discarded_dead_letter_waits_for_nobody(line: Line) -> None:
    line.stages.decide(said("payment.captured", "o-1", 1, currency="nothing"))
    assert line.stages.decide(instruction("dead_letter.discarded")) == APPLIED
    assert rows(line.engine, "SELECT action, operator_id, reason FROM dead_letter_actions") == [
        ("discarded", "anna", "why")
    ]
    with line.engine.begin() as connection:
        assert letters(connection, limit=10, open_only=True) == []
        assert [(found.code, found.replays) for found in letters(connection, limit=10)] == [
            ("invalid_data", 0)
        ]
        assert attention.letters(connection) == []


def test_pauses_and_holds_are_seen_where_people_look(
    line: Line, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = line.settled("o-1")
    line.stages.decide(
        instruction("sending.paused", note="a theft?"),
        instruction("command.held", command_id=payout, note="not this one"),
    )
    with line.engine.begin() as connection:
        found = figures(connection, T0)
        assert [pause.note for pause in found.paused] == ["a theft?"]
        assert found.held_back == 1
        families = {family.name: family for family in figure_families(found, T0)}
        assert overview.figures(connection, T0, "CreateTime").paused == found.paused
    values = {s.labels["scope"]: s.value for s in families["escrow_sending_paused"].samples}
    assert values == {"all": 1, "refund": 0, "payout": 0}
    monkeypatch.setenv("ESCROW_DATABASE__URL", database_url)
    shown = CliRunner().invoke(app, ["send", "status"])
    assert shown.exit_code == 1
    assert "all commands are paused by anna: a theft?" in shown.stdout
    assert "not this one" in shown.stdout
