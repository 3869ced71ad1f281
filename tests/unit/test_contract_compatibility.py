"""No change of the contract slips through: what breaks a sender or a reader is named, and nothing else is."""

import json
import random
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from ops.cli.main import app
from ops.contract import publishing
from ops.contract.compatibility import KEYWORDS, changes, contract, refusals
from ops.contract.examples import example
from ops.contract.json_schemas import closed, opened
from ops.contract.messages import MESSAGES
from tests.unit.test_contract_published import places, spoilt

NOW: Final = contract()
PAID, CHANGED, ORDERS = "payment.captured", "order.changed", "escrow.order-events.v1"
MONEY: Final = {"type": "integer", "minimum": 1}


def test_nothing_breaks_who_relies_on_the_last_release() -> None:
    released = publishing.released(publishing.FOLDER / publishing.RELEASED)
    breaking = [change for change in changes(released, NOW) if change.weight == "breaking"]
    assert breaking == [], "a new field is optional, a new meaning is a new type or a topic .v2"


def fields(new: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = new["types"][name]["schema"]["properties"]
    return found


def required(new: dict[str, Any], name: str) -> list[str]:
    found: list[str] = new["types"][name]["schema"]["required"]
    return found


def taken_away(new: dict[str, Any], name: str, field: str) -> None:
    required(new, name).remove(field)
    del fields(new, name)[field]


def always_there(new: dict[str, Any], name: str, field: str) -> None:
    required(new, name).append(field)
    fields(new, name)[field] = MONEY


# what is done to the contract → what it breaks; what it only asks care for
BREAKS: Final = [
    (lambda n: n["topics"].pop(ORDERS), f"{ORDERS}: the topic is gone"),
    (lambda n: n["types"].pop(PAID), f"{PAID}: the type is gone"),
    (lambda n: n["topics"][ORDERS].update(key="buyer_id"), f"{ORDERS}: key was order_id"),
    (lambda n: n["topics"][ORDERS].update(partitions=8), f"{ORDERS}: partitions was 4, is 8"),
    (lambda n: n["topics"][ORDERS].update(retention_ms=1), f"{ORDERS}: records are kept"),
    (lambda n: n["topics"][ORDERS]["types"].remove(CHANGED), f"{ORDERS}: no longer carries"),
    (lambda n: fields(n, PAID).pop("method"), f"{PAID} method: what senders may write"),
    (lambda n: required(n, PAID).append("order"), f"{PAID} order: what senders may write today is refused: the field"),
    (lambda n: fields(n, PAID).update(order={"type": "string"}), f"{PAID} order: what senders"),
    (lambda n: fields(n, PAID)["amount_minor"].update(minimum=2), f"{PAID} amount_minor: what"),
    (lambda n: fields(n, PAID)["amount_minor"].update(maximum=9), f"{PAID} amount_minor: what"),
    (lambda n: fields(n, PAID)["amount_minor"].update(type="string"), f"{PAID} amount_minor: what"),
    (lambda n: fields(n, PAID)["paid_through"].update(enum=["escrow"]), "refused: the value other"),
    (lambda n: fields(n, PAID)["method"].update(pattern="^[a-z]{1,8}$"), "refused: pattern"),
    (lambda n: fields(n, "refund.requested")["note"]["anyOf"].pop(), "refused: it may be null"),
    (lambda n: n["types"][PAID]["schema"]["$defs"]["Currency"]["enum"].remove("JPY"), "the value JPY"),
    (lambda n: n["types"][PAID]["schema"]["$defs"]["OrderLine"]["required"].append("options"), "order.lines[].options"),
    (lambda n: fields(n, "evidence.submitted")["media_type"].update(maxLength=9), "maxLength 200 where it was 9"),
    (lambda n: taken_away(n, CHANGED, "held_minor"), f"{CHANGED} held_minor: readers of today do not expect it: the field is missing"),
    (lambda n: required(n, CHANGED).remove("held_minor"), f"{CHANGED} held_minor: readers of today do not expect it: the field may be absent"),
    (lambda n: fields(n, CHANGED)["cause"].update({"anyOf": [{"$ref": fields(n, CHANGED)["cause"].pop("$ref")}, {"type": "null"}]}), f"{CHANGED} cause: readers of today do not expect it: it may be null"),
    (lambda n: fields(n, "payout.release")["purpose"]["enum"].append("gift"), "payout.release purpose: readers of today do not expect it: the value gift"),
    (lambda n: fields(n, "payout.release")["attempt"].update(minimum=0), "payout.release attempt: readers"),
    (lambda n: fields(n, "payout.release")["not_after"].pop("format"), "payout.release not_after: readers"),
]  # fmt: skip
CAUTIONS: Final = [
    (lambda n: fields(n, PAID).update(tip_minor=MONEY), f"{PAID} tip_minor: the release before"),
    (lambda n: fields(n, PAID)["paid_through"]["enum"].append("cash"), f"{PAID} paid_through: the"),
    (lambda n: n["topics"][ORDERS]["types"].append("order.noted"), f"{ORDERS}: carries order.noted"),
    (lambda n: always_there(n, CHANGED, "loss"), f"{CHANGED} loss: records written before"),
]  # fmt: skip


def named(change: Any) -> list[tuple[str, str]]:
    new = deepcopy(NOW)
    change(new)
    assert new != NOW
    return [(found.weight, f"{found.where}: {found.what}") for found in changes(NOW, new)]


@pytest.mark.parametrize(("change", "said"), BREAKS, ids=[said[:60] for _, said in BREAKS])
def test_a_breaking_change_is_named(change: Any, said: str) -> None:
    assert any(weight == "breaking" and said in text for weight, text in named(change))


@pytest.mark.parametrize(("change", "said"), CAUTIONS, ids=[said[:60] for _, said in CAUTIONS])
def test_what_breaks_nobody_asks_for_care(change: Any, said: str) -> None:
    found = named(change)
    assert {weight for weight, _ in found} == {"caution"}
    assert any(said in text for _, text in found)


def test_words_for_people_may_change() -> None:
    new = deepcopy(NOW)
    for one in new["types"].values():
        one["schema"]["description"] = "said otherwise"
    assert changes(NOW, new) == []


def test_the_checker_understands_every_keyword_of_the_schemas() -> None:
    def keywords(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return {word for part in schema for word in keywords(part)}
        if not isinstance(schema, dict):
            return set()
        named = {"properties", "$defs"}
        inner = [v for n, part in schema.items() for v in (part.values() if n in named else [part])]
        return {*schema, *keywords(inner)}

    assert {word for name in MESSAGES for word in keywords(closed(name))} <= KEYWORDS


LIMITS: Final = {
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
}


def changed_at_random(rng: random.Random, schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with another limit, field, kind or value somewhere."""
    new = deepcopy(schema)
    node, name = rng.choice(
        [(n, k) for n, k in places(new) if k in LIMITS | {"enum", "required", "properties", "type"}]
    )
    match node[name]:
        case int() as limit:
            node[name] = max(limit + rng.choice((-1, 1, 50)), 0)
        case list() as values:
            if rng.random() < 0.5 and len(values) > 1:
                values.pop()
            elif name == "enum":
                values.append("of_late")
        case dict() as known:
            field = rng.choice(list(known))
            if rng.random() < 0.5:
                del known[field]
                node["required"] = [one for one in node.get("required", ()) if one != field]
            else:
                known[field] = {"type": "string", "minLength": 1, "maxLength": 40}
        case "string" | "integer":
            node[name] = rng.choice(("string", "integer", "boolean"))
    return new


def test_what_is_called_harmless_refuses_no_data(rng: random.Random) -> None:
    """Against another implementation: jsonschema judges the data, the checker the schemas."""
    harmless = named_bad = 0
    names = list(MESSAGES)
    for _ in range(250):
        name = rng.choice(names)
        written, is_open = closed(name), rng.random() < 0.5
        read = changed_at_random(rng, opened(name) if is_open else written)
        found = refusals(written, read, is_open=is_open)
        named_bad += bool(found)
        if found:
            continue
        harmless += 1
        writer, reader = Draft202012Validator(written), Draft202012Validator(read)
        for data in (example(name), *(spoilt(rng, example(name)) for _ in range(12))):
            assert not writer.is_valid(data) or reader.is_valid(data), (name, read, data)
    assert min(harmless, named_bad) > 30


def test_the_gate_names_it_and_ends_with_1(tmp_path: Path) -> None:
    old = deepcopy(NOW)
    fields(old, PAID)["coupon"] = {"type": "string"}
    path = tmp_path / "released.json"
    path.write_text(json.dumps({"version": "0.0.9", **old}))
    run = CliRunner().invoke
    answer = run(app, ["contract", "check", "--against", str(path), "--json"])
    assert answer.exit_code == 1
    first = json.loads(answer.stdout)[0]
    assert first["weight"] == "breaking"
    assert first["where"] == f"{PAID} coupon"
    path.write_text(json.dumps({"version": "0.0.9", **NOW}))
    assert run(app, ["contract", "check", "--against", str(path)]).exit_code == 0
    path.write_text("[]")
    assert run(app, ["contract", "check", "--against", str(path)]).exit_code == 2


def test_publishing_writes_what_differs_and_takes_away_what_is_no_more(tmp_path: Path) -> None:
    made = publishing.files()
    assert publishing.publish(tmp_path) == sorted(made)
    (tmp_path / "types" / "old.type.md").write_text("gone")
    (tmp_path / "README.md").write_text("edited by hand")
    release = publishing.release(tmp_path)
    assert publishing.publish(tmp_path) == ["README.md", "types/old.type.md"]
    assert publishing.publish(tmp_path) == []
    assert changes(publishing.released(release), NOW) == []
