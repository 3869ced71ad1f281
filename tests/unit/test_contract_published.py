"""What is published says what the code does: schemas against the door, pages against the rules, all against the files."""

import json
import random
import re
from copy import deepcopy
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from starlette.testclient import TestClient
from typer.testing import CliRunner

from consumers.engine.config import Settings
from escrow.arrival import Decided
from escrow.replay import Replay
from escrow.telling import tell
from ops.cli.main import app
from ops.contract import publishing
from ops.contract.asyncapi import document
from ops.contract.examples import ORDER, SOURCES, example, headers
from ops.contract.json_schemas import ALSO, closed, opened
from ops.contract.messages import BY_TOPIC, MESSAGES
from ops.contract.pages import html_page
from ops.local.traffic import Knobs, stories
from ops.web.app import create_app
from ops.web.watcher import Seen
from schemas.door import Fact, Record, decode
from schemas.facts import FACT_TYPES
from schemas.topics import TOPICS, VIEWS
from tests.builders import T0, compact
from tests.unit.looks import Eyes

ODD: Final[tuple[Any, ...]] = (
    None, 0, -1, 1, 2**53 - 1, 2**53, True, "", "x", "EUR", "XXX", "a\tb", "a\x85b", "é" * 64, "a" * 64,
    "a" * 65, "n" * 201, "2026-01-31T10:00:00Z", [], {}, {"x": "y"}, {"\x07": "y"}, "buyer", "lost",
)  # fmt: skip


def oracle(schema: dict[str, Any]) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Each (container, name) at which something stands, at any depth."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    found: list[tuple[Any, Any]] = []
    for name, value in members:
        found.append((node, name))
        if isinstance(value, dict | list):
            found += places(value)
    return found


def spoilt(rng: random.Random, data: dict[str, Any]) -> dict[str, Any]:
    """The data with one or two things that may be wrong with it."""
    data = json.loads(json.dumps(data))
    for _ in range(rng.choice((1, 1, 2))):
        container, name = rng.choice(places(data))
        match rng.randrange(4):
            case 0:
                container.pop(name) if isinstance(container, dict) else container.clear()
            case 1 if isinstance(container, dict):
                container["unheard_of"] = deepcopy(rng.choice(ODD))
            case _:
                container[name] = deepcopy(rng.choice(ODD))
        if not data:
            break
    return data


def test_the_files_are_what_the_code_makes() -> None:
    stale = publishing.differing(publishing.FOLDER, publishing.files())
    assert stale == [], "run: escrow contract publish docs/contract"


def test_every_topic_but_the_views_and_every_type_on_it_is_part_of_the_contract() -> None:
    assert {t.name for t in TOPICS} - BY_TOPIC.keys() == {VIEWS}
    assert {name for topic in BY_TOPIC.values() for name in topic.types} == MESSAGES.keys()


@pytest.mark.parametrize("name", FACT_TYPES)
def test_the_example_of_a_fact_passes_the_door(name: str) -> None:
    data = example(name)
    key = data["supplier_id"] if name == "supplier.reported" else ORDER
    encoded = [(header, text.encode()) for header, text in headers(name, "i").items()]
    record = Record(FACT_TYPES[name].topic, 0, 0, T0, key.encode(), compact(data), encoded)
    fact = decode(record)
    assert isinstance(fact, Fact), fact
    assert fact.source == SOURCES[fact.topic]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_example_is_valid_by_its_model_and_by_both_schemas(name: str) -> None:
    data = example(name)
    MESSAGES[name].model.model_validate(data)
    assert oracle(closed(name)).is_valid(data)
    assert oracle(opened(name)).is_valid({**data, "of_a_later_release": 1})
    assert not oracle(closed(name)).is_valid({**data, "of_a_later_release": 1})


@pytest.mark.parametrize("name", FACT_TYPES)
def test_the_schema_and_the_door_let_the_same_data_in(name: str, rng: random.Random) -> None:
    model, schema, whole = FACT_TYPES[name].model, oracle(closed(name)), oracle(opened(name))
    seen = {True: 0, False: 0}
    for _ in range(400):
        data = spoilt(rng, example(name))
        try:
            model.model_validate(data)
        except ValidationError as error:
            what = {fault["type"] for fault in error.errors()}
            says = what != {"value_error"}  # what a sentence says, or the format of a time
        else:
            assert whole.is_valid(data), data
            what, says = set(), True
        if says:
            assert schema.is_valid(data) == (not what), (data, what)
            seen[not what] += 1
        elif name not in ALSO:
            assert "due_at" in data, (data, what)
    assert min(seen.values()) > 0


def test_what_is_really_sent_fits_the_schemas_of_its_type(rng: random.Random) -> None:
    replay, checked = Replay(), dict.fromkeys(MESSAGES, 0)
    schemas = {name: (oracle(closed(name)), oracle(opened(name))) for name in MESSAGES}
    for record in stories(rng.randrange(2**32), 900, knobs=Knobs(garbage=0, magic=0.1)):
        fact = decode(record)
        assert isinstance(fact, Fact)
        steps = replay.take(fact)
        for step in () if isinstance(steps, str) else steps:
            for out in tell(step) if isinstance(step, Decided) else ():
                assert out.topic in MESSAGES[out.type].topics
                for schema in schemas[out.type]:
                    schema.validate(json.loads(out.payload))
                checked[out.type] += 1
    assert {name for name, count in checked.items() if count} >= {
        "refund.issue", "payout.release", "order.changed", "fact.refused",
    }  # fmt: skip


def test_the_asyncapi_document_leads_everywhere() -> None:
    whole = document()
    text = json.dumps(whole)
    for ref in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        node: Any = whole
        for part in ref.split("/"):
            node = node[part]
    assert whole["asyncapi"] == "3.1.0"
    assert whole["channels"].keys() == BY_TOPIC.keys()
    assert whole["components"]["messages"].keys() == MESSAGES.keys()
    assert "$defs" not in text


def test_the_page_needs_nothing_but_itself() -> None:
    page = html_page()
    assert re.findall(r"<(?:script|link|img|iframe)|url\(|@import", page) == []
    assert all(address.startswith("#") for address in re.findall(r'href="([^"]*)"', page))
    assert set(re.findall(r'<h1 id="([^"]+)"', page)) == MESSAGES.keys()


@pytest.fixture
def console() -> TestClient:
    settings = Settings()
    made = create_app(settings, Eyes(Seen(0), settings))
    return TestClient(made, base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_the_console_shows_each_type_and_leads_to_it(console: TestClient) -> None:
    index = console.get("/contract").text
    for name in MESSAGES:
        assert f'href="/contract/{name}"' in index
    page = console.get("/contract/mediation.requested").text
    assert "too_early" in page
    assert "Mediation can be asked for ten days after the first refund request." in page
    assert "applied → IN_MEDIATION" in page
    assert console.get("/contract/no.such").status_code == 404
    assert console.get("/contract/asyncapi.json").json() == document()


def test_the_command_line_prints_it_for_people_and_programs() -> None:
    run = CliRunner().invoke
    assert json.loads(run(app, ["contract", "asyncapi"]).stdout) == document()
    schema = ["contract", "schema", "ruling.issued"]
    assert json.loads(run(app, schema).stdout) == closed("ruling.issued")
    assert json.loads(run(app, [*schema, "--reader"]).stdout) == opened("ruling.issued")
    assert "already_ruled" in run(app, ["contract", "show", "ruling.issued"]).stdout
    told = json.loads(run(app, ["contract", "show", "ruling.issued", "--json"]).stdout)
    assert told["becomes"]["HELD"] == ["parked: awaiting_mediation"]
    listed = json.loads(run(app, ["contract", "list", "--json"]).stdout)
    assert [row["type"] for row in listed] == list(MESSAGES)
    for words in (["schema"], ["show"]):
        assert run(app, ["contract", *words, "no.such"]).exit_code == 2
