"""Every fact has words and a rule; nothing in them is left to a person's guess."""

import re
from typing import Any

import pytest

from ops.findings import CHECKS
from ops.plain_words import RULE_OF, rule_of, say, short
from schemas.facts import FACT_TYPES
from schemas.reasons import REFUSALS
from tests.builders import SAMPLES, a_fact


@pytest.mark.parametrize("type_name", FACT_TYPES)
def test_every_type_is_told_in_a_sentence(type_name: str) -> None:
    said = say(a_fact(type_name), "EUR")
    assert len(said) > 12
    assert not said.endswith(".")
    assert "None" not in said
    assert "{" not in said


@pytest.mark.parametrize(
    ("type_name", "data", "words"),
    [
        ("payment.captured", {"paid_through": "other"}, "outside escrow"),
        ("payment.captured", {"agreement_accepted": False}, "without accepting the agreement"),
        ("payment.chargeback_closed", {"outcome": "lost"}, "lost: the network took it"),
        ("shipment.delivered", {"signed_by": "Ada", "packaging": "damaged"}, "signed by Ada, pack"),
        ("shipment.returned", {"cause": "refused_by_buyer"}, "refused by buyer"),
        ("refund.requested", {"amount_minor": 5}, "asked 0.05 EUR back"),
        ("ruling.issued", {"outcome": "refund_partial", "refund_minor": 1234}, "12.34 EUR back"),
        ("gateway.failed", {"reason_code": "R1", "retryable": True}, "(R1), it may be tried again"),
        ("command.reissued", {"command_id": "c" * 32}, "reissued command cccccccccc…"),
    ],
)
def test_what_matters_is_said(type_name: str, data: dict[str, Any], words: str) -> None:
    assert words in say(a_fact(type_name, **data), "EUR")


def test_every_type_has_its_rule_and_no_other_has() -> None:
    assert set(RULE_OF) == set(FACT_TYPES) == set(SAMPLES)
    assert all(re.fullmatch(r"RULES \d(\.\d)?(, P\d+)*", rule) for rule in RULE_OF.values())


@pytest.mark.parametrize("code", REFUSALS)
def test_every_refusal_has_a_rule(code: str) -> None:
    rule = rule_of("delivery.confirmed", code)
    expected = "RULES 3.3" if code in ("wrong_party", "currency_mismatch", "frozen") else "RULES"
    assert rule.startswith(expected)


def test_long_ids_are_shortened_and_short_ones_kept() -> None:
    assert short("c-1") == "c-1"
    assert short("0123456789abcdef") == "0123456789…"


def test_every_check_says_what_it_proves() -> None:
    assert all(20 < len(proves) <= 62 for proves in CHECKS.values())
