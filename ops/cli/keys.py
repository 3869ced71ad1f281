"""`escrow keys`: who signs with which key; private keys never come onto a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

app = typer.Typer(help="Keys of signatures: new, list, revoke.", no_args_is_help=True)
KeysOption = Annotated[
    Path | None,
    typer.Option("--keys", help="The JWKS; the configured one without it.", show_default=False),
]


@app.command("new")
def new_key(
    holder: Annotated[str, typer.Option(help="The person or system that will sign.")],
    source: Annotated[list[str], typer.Option(help="A source that it speaks for; * is any text.")],
    type_: Annotated[list[str], typer.Option("--type", help="A type that it may sign; * too.")],
    private: Annotated[Path, typer.Option(help="Where the private key goes; a new file.")],
    not_before: Annotated[str | None, typer.Option(help="Counts from here on (RFC 3339).")] = None,
    not_after: Annotated[str | None, typer.Option(help="Counts until here (RFC 3339).")] = None,
    keys: KeysOption = None,
) -> None:
    """Make a key: the private half into a file that only you can read, the public one into the JWKS.

    To rotate, make a second key for the same holder before the first runs out: both count meanwhile.
    """
    from ops.signing_keys import NewKey, make_key

    path = _path(keys, must_exist=False)
    wanted = NewKey(holder, source, type_, not_before, not_after)
    with _told():
        kid = make_key(wanted, private, path)
    typer.echo(kid)
    terminal.note(f"private key in {private}; public key added to {path}")


@app.command("list")
def list_keys(keys: KeysOption = None, json: JsonOption = False) -> None:
    """Whose signatures count, for which sources and types, and until when."""
    from schemas.keys import KeyRing

    with _told():
        found = KeyRing.from_file(_path(keys)).all()
    if json:
        terminal.print_json([_shown(key) for key in found])
        return
    table = a_table("kid", "holder", "sources", "types", "counts")
    now = terminal.wall_ms()
    for key in found:
        words = _in_force(key, now)
        style = "green" if words.startswith("yes") else "bold red"
        table.add_row(
            styled(key.kid),
            styled(key.holder),
            styled(", ".join(key.sources)),
            styled(", ".join(key.types)),
            styled(words, style=style),
        )
    terminal.console().print(table)


@app.command("revoke")
def revoke_key(
    kid: Annotated[str, typer.Argument(help="The key's id, as `escrow keys list` shows it.")],
    since: Annotated[
        str | None,
        typer.Option(help="From when on (RFC 3339): the earliest that it may be stolen."),
    ] = None,
    keys: KeysOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Believe a key no more. Stages read the JWKS anew within seconds.

    What it signed before that instant stays believed where the broker stamps records; where senders
    set the time (profile local) nothing that it signed is believed any more.
    """
    from ops.signing_keys import revoke
    from schemas.order_events import rfc3339

    path = _path(keys)
    instant = rfc3339(terminal.wall_ms()) if since is None else since
    terminal.note(f"{kid} is believed no more from {instant} on")
    if dry_run:
        return
    terminal.confirm("Revoke this key? It cannot be undone.", yes=yes)
    with _told():
        key = revoke(path, kid, instant)
    typer.echo(f"{key.kid} revoked")


def _path(given: Path | None, *, must_exist: bool = True) -> Path:
    path = given or terminal.settings().signing.keys_file
    if path is None:
        raise terminal.fail("name the JWKS: --keys FILE, or ESCROW_SIGNING__KEYS_FILE")
    if must_exist and not path.is_file():
        raise terminal.fail(f"{path}: no such file")
    return path


@contextmanager
def _told() -> Iterator[None]:
    """Turn a file that cannot be used into a sentence and exit code 2."""
    from schemas.keys import BadKeys

    try:
        yield
    except FileExistsError as error:
        raise terminal.fail(f"{error.filename}: is there; no private key is replaced") from None
    except OSError as error:
        raise terminal.fail(f"{error.filename}: {error.strerror}") from None
    except BadKeys as error:
        raise terminal.fail(str(error)) from None


def _in_force(key: Any, now: int) -> str:
    if key.revoked_at is not None:
        return f"no: revoked {terminal.when(key.revoked_at)}"
    if key.not_before is not None and now < key.not_before:
        return f"from {terminal.when(key.not_before)}"
    if key.not_after is None:
        return "yes"
    until = terminal.when(key.not_after)
    return f"yes, until {until}" if now < key.not_after else f"no: ran out {until}"


def _shown(key: Any) -> dict[str, Any]:
    shown: dict[str, Any] = key._asdict()
    del shown["public"]
    return shown
