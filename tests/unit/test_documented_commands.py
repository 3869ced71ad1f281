"""What the pages tell people to type exists as it stands there, and each command is typed by some test, or it is said why not.

docs/how-to has its own (test_how_to_pages.py, how_to_typed.py), and docs/runbook.md (runbook_typed.py). What `kubectl` is told
stands on docs/kubernetes.md alone, which `make kubernetes` types.
"""

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from ops.cli.main import app
from tests.unit.test_cli_terminal import commands

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "examples/README.md")
)
NOT_TYPED: Final = {
    "bench": "minutes of both processors; its parts are run by hand, docs/performance.md has the words",
}
_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SETTING: Final = re.compile(r"[A-Z_]+=\S*")


def typed_on(page: str) -> list[list[str]]:
    """The programs of a page's blocks with their words: pipes and `&&` taken apart, redirections cut off."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [
        line.partition(" # ")[0]
        for language, block in _BLOCK.findall(text)
        for line in ([] if language else block.splitlines())
    ]
    found = []
    for line in lines:
        for part in re.split(r"&&|\|", line):
            if not re.match(r"\s*([A-Z_]+=\S+ )*(\S*/)?(escrow|make|python) ", part):
                continue
            words = [w for w in shlex.split(part.partition(" > ")[0]) if not _SETTING.fullmatch(w)]
            found.append([Path(words[0]).name, *words[1:]])
    return found


TYPED: Final = [(page, words) for page in PAGES for words in typed_on(page)]


def test_the_blocks_of_the_pages_are_found() -> None:
    assert len(TYPED) > 50
    assert {page for page, _ in TYPED} > {"README.md", "docs/runbook.md", "docs/policy.md"}


@pytest.mark.parametrize(("page", "words"), TYPED, ids=lambda value: str(value)[:60])
def test_what_a_page_tells_to_type_exists(page: str, words: list[str]) -> None:
    program, *rest = words
    if program == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert re.search(rf"^{rest[0]}:", targets, re.MULTILINE), f"{page}: no target {rest[0]}"
    elif program == "python":
        path = ROOT / (rest[1].replace(".", "/") if rest[0] == "-m" else rest[0])
        assert (
            path.is_file() or path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
        )
    else:
        _is_a_command(page, rest)


@cache
def program() -> Any:
    return typer.main.get_command(app)


def _is_a_command(page: str, words: list[str]) -> None:
    command = program()
    while hasattr(command, "commands"):
        word = words.pop(0)
        assert word in command.commands, f"{page}: no command {word}"
        command = command.commands[word]
    known = {
        o for parameter in command.params for o in (*parameter.opts, *parameter.secondary_opts)
    }
    given = {word for word in words if word.startswith("-")}
    assert given <= known, f"{page}: {given - known}"


def test_what_kubectl_is_told_is_on_the_page_that_is_typed() -> None:
    pages = [*PAGES, *(page.relative_to(ROOT).as_posix() for page in ROOT.glob("docs/how-to/*.md"))]
    blocks = {page: _BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) for page in pages}
    told = {page for page, found in blocks.items() for _, block in found if "kubectl" in block}
    assert told == {"docs/kubernetes.md"}


def test_each_command_is_typed_by_a_test_or_it_is_said_why_not() -> None:
    this = Path(__file__)
    paths = (path for path in (ROOT / "tests").rglob("*.py") if path != this)
    tests = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    never = {" ".join(words) for words in commands() if not _is_typed(words, tests)}
    assert never == NOT_TYPED.keys()


def _is_typed(words: tuple[str, ...], tests: str) -> bool:
    """As arguments (`"order", "show"`), or as a line of a shell (`escrow order show`)."""
    apart = r'",\s*"'.join(map(re.escape, words))
    begins = r"[(\[]\s*" if len(words) == 1 else ""
    line = " ".join(map(re.escape, words))
    return re.search(rf'{begins}"{apart}"|escrow {line}\b|["\'({{]{line} ', tests) is not None
