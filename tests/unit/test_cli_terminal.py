"""What every command shares: words for times, safe text, questions before changes, quick help."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from ops.cli import terminal
from ops.cli.main import app

DAY = 86_400_000


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"),
        (999, "0 s"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (DAY + 5, "1 d"),
        (DAY + 7_260_000, "1 d 2 h"),
        (-90_000, "1 min 30 s"),
    ],
)
def test_durations_have_two_units_at_most(ms: int, text: str) -> None:
    assert terminal.how_long(ms) == text


def test_instants_are_utc() -> None:
    assert terminal.when(1_700_000_000_123) == "2023-11-14 22:13:20"
    assert terminal.when(1_700_000_000_123, exact=True) == "2023-11-14 22:13:20.123"
    assert terminal.when(2**53) == "9999-12-31 23:59:59"
    assert terminal.when(None) == terminal.when(-1) == "-"


def test_control_characters_are_shown_and_never_sent() -> None:
    assert terminal.plain("a\x1b[2Jb\r\n\x9b") == "a\\x1b[2Jb\\x0d\\x0a\\x9b"


def test_markup_of_senders_is_text() -> None:
    assert terminal.styled("[red]x[/red]").plain == "[red]x[/red]"


def test_without_a_terminal_a_question_is_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        terminal.confirm("Really?", yes=False)
    assert left.value.exit_code == terminal.NOT_DONE
    assert "--yes" in capsys.readouterr().err
    terminal.confirm("Really?", yes=True)


@pytest.mark.parametrize("answer", [True, False])
def test_at_a_terminal_the_answer_counts(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer)
    if answer:
        terminal.confirm("Really?", yes=False)
    else:
        with pytest.raises(typer.Exit) as left:
            terminal.confirm("Really?", yes=False)
        assert left.value.exit_code == terminal.BAD


def commands() -> list[tuple[str, ...]]:
    """Every command of the program, as words."""
    found: list[tuple[str, ...]] = []

    def walk(command: object, words: tuple[str, ...]) -> None:
        below = getattr(command, "commands", None)
        if below is None:
            found.append(words)
        for name, part in (below or {}).items():
            walk(part, (*words, name))

    walk(get_command(app), ())
    return found


def test_the_commands_of_the_design_are_there() -> None:
    wanted = """consume,relay,ticker,gateway,simulate,facts export,order show,order explain,lag,audit,
        dlq list,dlq show,dlq replay,commands list,commands reissue,topics plan,topics apply,
        migrate,doctor,config show"""
    assert {tuple(words.split()) for words in wanted.split(",")} <= set(commands())


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_says_what_it_does(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert words[-1] in result.stdout


READS = ["order show", "order explain", "lag", "audit", "dlq list", "dlq show", "commands list"]
READS += ["topics plan", "config show", "doctor"]
WRITES = ["dlq replay", "commands reissue", "topics apply", "migrate"]


@pytest.mark.parametrize("words", READS)
def test_every_read_has_json(words: str) -> None:
    assert "--json" in CliRunner().invoke(app, [*words.split(), "--help"]).stdout


@pytest.mark.parametrize("words", WRITES)
def test_every_write_can_be_tried_and_is_asked_for(words: str) -> None:
    shown = CliRunner().invoke(app, [*words.split(), "--help"]).stdout
    assert "--dry-run" in shown
    assert "--yes" in shown


def test_help_does_not_wait_for_clients_it_does_not_need() -> None:
    asks = "import sys, ops.cli.main; sys.exit(bool({'kafka', 'sqlalchemy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", asks], check=False).returncode == 0


def test_wrong_use_is_exit_code_2() -> None:
    assert CliRunner().invoke(app, ["order", "show"]).exit_code == terminal.NOT_DONE
    assert CliRunner().invoke(app, ["no-such-thing"]).exit_code == terminal.NOT_DONE


def test_the_page_about_the_command_line_names_every_command() -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    missing = [words for words in commands() if " ".join(words) not in page]
    assert missing == []
