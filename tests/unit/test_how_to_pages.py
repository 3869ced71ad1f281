"""The pages of docs/how-to lead somewhere, and tell people to type only what exists; what needs no server is typed."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import typer.main
from typer.testing import CliRunner

from ops.cli.main import app

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "docs" / "how-to"
PAGES: Final = sorted(path.name for path in FOLDER.glob("*.md"))
NO_SERVER: Final = (
    "contract show",
    "trigger payment.captured --order order-11 --print",
    "conformance",
    "simulate",
)


class Line(NamedTuple):
    """One command, and what must be in its answer."""

    words: str
    answer: str


def lines(page: str) -> list[Line]:
    text = (FOLDER / page).read_text(encoding="utf-8")
    found = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in [] if language else block.splitlines():
            words, _, answer = line.partition(" # ")
            found.append(Line(words.strip(), answer.strip()))
    return found


TYPED: Final = [line for page in PAGES for line in lines(page)]


def test_the_index_names_each_page_and_every_link_leads_somewhere() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        assert page == "README.md" or f"]({page})" in index
        for link in re.findall(r"\]\(([^)#]+)\)", (FOLDER / page).read_text(encoding="utf-8")):
            assert (FOLDER / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("line", TYPED, ids=lambda line: line.words)
def test_what_one_is_told_to_type_exists(line: Line) -> None:
    words = shlex.split(line.words.partition(" > ")[0])
    if words[0] == "python":
        assert (ROOT / words[1]).is_file()
        return
    if words[0] == "export":
        assert re.fullmatch(r"ESCROW_[A-Z]+__[A-Z_]+=.+", words[1])
        return
    assert words.pop(0) == "escrow"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words:
        word = words.pop(0)
        assert word in command.commands, f"no command {word}"
        command = command.commands[word]
    known = {option for parameter in command.params for option in parameter.opts}
    given = {word for word in words if word.startswith("--")}
    assert given <= known, given - known
    needed = {p.opts[0] for p in command.params if p.required and p.param_type_name == "option"}
    assert needed <= given, needed - given


def test_what_needs_no_server_does_what_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Among them the first steps of a checkout: look at a type, make a record, decide it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("ESCROW_DATABASE__URL", "postgresql+psycopg://escrow@127.0.0.1:1/escrow")
    typed = 0
    for line in lines("checkout.md") + lines("gateway.md"):
        words, _, output = line.words.partition(" > ")
        if not words.removeprefix("escrow ").startswith(NO_SERVER) or "--kit" in words:
            continue
        answer = CliRunner().invoke(app, shlex.split(words)[1:])
        assert answer.exit_code == 0, answer.output
        assert line.answer in answer.stdout
        if output:
            Path(output).write_text(answer.stdout, encoding="utf-8")
        typed += 1
    assert typed == 5
    (order,) = [json.loads(row) for row in Path("orders.jsonl").read_text().splitlines()]
    assert (order["order_id"], order["status"]) == ("order-11", "HELD")
