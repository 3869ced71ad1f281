"""What the program says about the runbook is in it, and what the runbook tells people to type exists."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from ops.cli.main import app

ROOT: Final = Path(__file__).parents[2]
RUNBOOK: Final = (ROOT / "docs/runbook.md").read_text()
SECTIONS: Final = set(re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE))
# Where nothing has halted, no message names the section: an alert does.
FROM_ALERTS: Final = {
    anchor.replace("-", " ")
    for anchor in re.findall(
        r"docs/runbook\.md#([a-z-]+)", (ROOT / "ops/prometheus/rules.yml").read_text()
    )
}


def texts(path: Path) -> Iterator[str]:
    """Every text in a module, f-strings as one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named() -> set[str]:
    found = set()
    for folder in ("consumers", "storage", "ops"):
        for path in (ROOT / folder).rglob("*.py"):
            for text in texts(path):
                found |= set(re.findall(r"docs/runbook\.md, `([^`]+)`", text))
    return found


def halts() -> list[tuple[str, str]]:
    """Each sentence with which something halts, and where."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node))
        for folder in ("consumers", "ops")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Halt"
    ]


def commands() -> list[str]:
    """What people are told to type, in blocks and in sentences."""
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL))
    lines = [line.partition("  #")[0].strip() for line in blocks.splitlines()]
    return [line for line in (*lines, *re.findall(r"`(escrow [^`]+)`", RUNBOOK)) if line]


def test_each_section_that_a_message_or_an_alert_names_is_there() -> None:
    assert named() | FROM_ALERTS == SECTIONS


@pytest.mark.parametrize(("where", "said"), halts(), ids=lambda value: value.partition("(")[0])
def test_each_halt_names_its_section(where: str, said: str) -> None:
    assert "docs/runbook.md, `" in said, f"{where} leaves a person alone"


def test_links_lead_somewhere() -> None:
    anchors = {section.replace(" ", "-") for section in SECTIONS}
    links = re.findall(r"\]\(([^)]+)\)", RUNBOOK)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert anchor in anchors if not path else (ROOT / "docs" / path).exists(), link


@pytest.mark.parametrize("line", commands())
def test_what_one_is_told_to_type_exists(line: str) -> None:
    words = shlex.split(line)
    assert words.pop(0) == "escrow"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        word = words.pop(0)
        assert word in command.commands, f"{line}: no command {word}"
        command = command.commands[word]
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word for word in words if word.startswith("--")}
    assert given <= known, f"{line}: {given - known}"
    if line in RUNBOOK.replace("`", "\n").splitlines() and given:  # a whole line: complete, too
        missing = {
            p.opts[0] for p in command.params if p.required and p.param_type_name == "option"
        }
        assert missing <= given, f"{line}: {missing - given} must be given"
