"""The kit finds what is wrong with a gateway adapter, check by check, and finds nothing where nothing is."""

import json
import re
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from examples.http_gateway.iso20022 import DUPLICATION, RETRYABLE, STATUSES, Told, told
from examples.http_gateway.rig import HttpRig
from ops.cli.main import app
from ops.conformance.checks import CHECKS
from ops.conformance.run import Make, run_check, verdicts
from ops.conformance.simulator import SimulatorRig
from tests.unit.planted_gateways import BUGS, UNSOUND, Planted, Unable

SIGNED: Final = (  # what an adapter that verifies no signatures is not asked
    "what_the_relay_has_not_signed_moves_nothing",
    "what_was_altered_after_signing_moves_nothing",
)
PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "gateway.md"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("make", [SimulatorRig, Planted])
def test_ours_keep_the_contract(check: str, make: Make) -> None:
    run_check(CHECKS[check], make)


@pytest.mark.parametrize("check", CHECKS)
def test_the_adapter_to_copy_keeps_what_it_tries(check: str) -> None:
    (verdict,) = verdicts(HttpRig, [check])
    assert verdict.verdict == ("not tried" if check in SIGNED else "kept"), verdict


@pytest.mark.parametrize(("check", "bug"), BUGS.items())
def test_a_planted_bug_is_found_by_its_check(check: str, bug: str) -> None:
    (verdict,) = verdicts(lambda: Planted(bug), [check])
    assert verdict.verdict == "broken", verdict
    assert verdict.why
    assert verdict.sentence


@pytest.mark.parametrize("bug", UNSOUND)
def test_what_no_check_is_about_is_seen_all_the_same(bug: str) -> None:
    assert "broken" in [one.verdict for one in verdicts(lambda: Planted(bug))]


def test_each_check_has_a_bug_that_it_must_find() -> None:
    assert BUGS.keys() == CHECKS.keys()
    assert len(set(BUGS.values())) == len(BUGS)


def test_what_a_rig_cannot_arrange_is_said_to_be_not_tried() -> None:
    found = {one.check: one.verdict for one in verdicts(Unable)}
    assert set(found.values()) == {"kept", "not tried"}
    assert found["no_answer_after_the_effect_is_never_told_as_failed"] == "not tried"
    assert found["a_repetition_pays_nothing_more"] == "kept"


def test_the_command_ends_with_1_for_a_bad_adapter() -> None:
    def run(*words: str, code: int) -> str:
        answer = CliRunner().invoke(app, ["conformance", "gateway", *words])
        assert answer.exit_code == code, answer.output
        return answer.stdout

    assert len(json.loads(run("--json", code=0))) == len(CHECKS)
    rig = "tests.unit.planted_gateways:Forgetful"
    name = "a_repetition_after_a_restart_pays_nothing_more"
    page = run("--adapter", rig, "--only", name, code=1)
    assert "broken" in page
    assert "money moved 2 times, not 1" in page
    run("--adapter", "no.such:thing", code=2)
    run("--adapter", "ops.conformance.checks:NOTHING", code=2)
    run("--only", "no_such_check", code=2)


def test_the_table_of_the_page_is_what_the_adapter_makes_of_a_bank_s_word() -> None:
    page = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([A-Z]{4})` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE))
    assert rows.keys() == STATUSES.keys()
    for status, answer in STATUSES.items():
        assert rows[status].startswith("nothing" if answer is None else f"`{answer}`"), status
    assert set(re.findall(r"`([A-Z]{2}\d\d)`", page)) == {*RETRYABLE, DUPLICATION, "AC04"}


@pytest.mark.parametrize(
    ("status", "reason", "answer"),
    [
        ("ACSC", None, Told("gateway.settled")),
        ("ACSP", None, Told("gateway.accepted")),
        ("RJCT", "AM04", Told("gateway.failed", "AM04", retryable=True)),
        ("RJCT", "AC04", Told("gateway.failed", "AC04", retryable=False)),
        ("RJCT", None, Told("gateway.failed", None, retryable=False)),
        ("RJCT", "AM05", None),  # executed before: never told as failed
        ("PDNG", None, None),
        ("XXXX", None, None),
    ],
)
def test_a_bank_s_word_becomes_an_answer(
    status: str, reason: str | None, answer: Told | None
) -> None:
    assert told(status, reason) == answer
