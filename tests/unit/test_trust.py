"""Source rules: a type's fact passes only from a source that one of its patterns names."""

import json
from pathlib import Path
from typing import Any

import pytest

from schemas.door import Fact, decode
from schemas.facts import FACT_TYPES
from schemas.trust import SourceRules
from tests.builders import SAMPLES, a_record, rejects
from tests.unit.records import structured


@pytest.mark.parametrize(
    ("patterns", "passes"),
    [
        (["/shop"], True),
        (["/other", "/shop"], True),
        (["/sh*"], True),
        (["*"], True),
        (["/shop*"], True),
        ([], False),
        (["/sho"], False),
        (["/SHOP"], False),
        (["shop"], False),
        (["/shop/*"], False),
    ],
)
def test_a_pattern_must_match_the_whole_source(patterns: list[str], passes: bool) -> None:
    rules = SourceRules({"payment.captured": patterns})
    for record in (a_record("payment.captured"), structured()):
        if passes:
            assert isinstance(decode(record, rules), Fact)
        else:
            rejects(record, "unauthorized_source", rules)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_type_without_a_pattern_has_no_sender(name: str) -> None:
    rejects(a_record(name), "unauthorized_source", SourceRules({}))
    others = {other: ["*"] for other in FACT_TYPES if other != name}
    rejects(a_record(name), "unauthorized_source", SourceRules(others))


def test_one_types_sender_may_not_send_another_type() -> None:
    rules = SourceRules({"payment.captured": ["/shop"], "deadline.reached": ["/ticker"]})
    rejects(a_record("deadline.reached"), "unauthorized_source", rules)


def test_rules_for_a_type_that_does_not_exist_are_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"no such type: refund\.issue"):
        SourceRules({"refund.issue": ["*"], "payment.captured": ["*"]})


@pytest.mark.parametrize("patterns", ["/shop/*", None, {"/shop": 1}, [1], [["*"]]])
def test_patterns_that_are_no_list_of_texts_are_a_mistake_and_let_nobody_in(patterns: Any) -> None:
    with pytest.raises(ValueError, match=r"payment\.captured: the patterns are a list"):
        SourceRules({"payment.captured": patterns})


def test_the_rules_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "sources.json"
    path.write_text(json.dumps({"payment.captured": ["/shöp"]}), encoding="utf-8")
    rules = SourceRules.from_file(path)
    assert isinstance(decode(structured(source="/shöp"), rules), Fact)
    rejects(structured(), "unauthorized_source", rules)


def test_a_thousand_sources_later_the_first_is_judged_the_same() -> None:
    rules = SourceRules({"payment.captured": ["/shop*"]})
    for n in range(5000):
        assert isinstance(decode(structured(source=f"/shop{n}"), rules), Fact)
        rejects(structured(source=f"/other{n}"), "unauthorized_source", rules)
    rejects(structured(source="/other0"), "unauthorized_source", rules)
