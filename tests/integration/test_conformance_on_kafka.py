"""The kit over the topics: an adapter that is a program of its own is held to the same checks, and found out by them.

That the adapter to copy keeps all of them: `make examples`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from consumers.engine.admin import apply_topics
from consumers.engine.config import load_settings
from examples.http_gateway.rig import MANNERS
from ops.conformance.kit import read_kit
from ops.conformance.on_kafka import Line
from ops.conformance.run import NoAdapter, Verdict, verdicts
from ops.conformance.sandbox import Described, Sandbox

ROOT: Final = Path(__file__).parents[2]


def tried(
    kafka: str, program: Sequence[str], sandbox: Sandbox, folder: Path, *checks: str
) -> list[Verdict]:
    settings = load_settings(kafka={"bootstrap_servers": kafka})
    apply_topics(settings)
    words = [sys.executable, "-m", *program]
    env = {"PYTHONPATH": str(ROOT)}
    log = folder / "adapter.log"
    with Line(settings, words, sandbox, log, env=env, patience_seconds=60) as line:
        return verdicts(line.rig, checks)


def test_one_that_pays_twice_is_found_out(kafka: str, tmp_path: Path) -> None:
    paid = tmp_path / "paid.jsonl"
    paid.touch()
    program = ["tests.integration.planted_adapter", "pays whatever it reads", "--paid", str(paid)]
    sandbox = Described(("cat", str(paid)), {})
    (found,) = tried(kafka, program, sandbox, tmp_path, "a_repetition_pays_nothing_more")
    assert (found.verdict, found.why) == ("broken", "money moved 3 times, not 1")


def test_a_program_that_ends_or_is_not_there_is_said_to_be(kafka: str, tmp_path: Path) -> None:
    nothing = Described(("true",), {})
    with pytest.raises(NoAdapter, match=r"has not answered a first(.|\n)*No module named no_such"):
        tried(kafka, ["no_such"], nothing, tmp_path)
    settings = load_settings(kafka={"bootstrap_servers": kafka})
    line = Line(settings, ["/no/such"], nothing, tmp_path / "log")
    with pytest.raises(NoAdapter, match="/no/such: No such file"):
        line.__enter__()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "program is a command; payments is a command"),
        ('program = "x"\npayments = "y"\npayment = "z"', "unknown: payment"),
        ('program = "x"\npayments = "y"\n[amounts]\nexplodes = 1', "unknown trick: explodes"),
        ('program = "x"\npayments = "y"\n[amounts]\ncomes_back = 1.5', "is an amount in minor"),
        ('program = "x"\npayments = "y"\npatience_seconds = 0', "a number above 0"),
        ("program = ", "Invalid value"),
    ],
)
def test_what_is_wrong_with_a_kit_file_is_named(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "kit.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NoAdapter, match=why):
        read_kit(path)


def test_the_kit_file_of_the_example_arranges_every_trick() -> None:
    kit = read_kit(ROOT / "examples" / "http_gateway" / "conformance.toml")
    assert set(kit.amounts) == set(MANNERS)
    assert Described(("true",), {}).moved() == []
