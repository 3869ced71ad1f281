"""`escrow web`: the console, pages over what is stored; killing it changes no order."""

from typing import Annotated, Any

import typer

from ops.cli import terminal


def web(
    host: Annotated[str | None, typer.Option(help="Where to listen; loopback by default.")] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="On which port; 8099 by default, 0: a free one."),
    ] = None,
) -> None:
    """Serve the console until SIGTERM or Ctrl-C.

    It only reads, unless ESCROW_WEB__ROLE or a token's role says otherwise. Beyond loopback it
    starts only with tokens and TLS (`escrow config show` lists ESCROW_WEB__...).
    """
    from consumers.engine.config import ConfigError, load_settings
    from ops.cli.run import run_program
    from ops.web.serve import CannotListen, run_web

    given: dict[str, Any] = {"host": host, "port": port}
    given = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(web=given) if given else load_settings()
    except ConfigError as error:
        raise terminal.fail(f"the configuration is not usable\n{error}") from None
    scheme = "https" if settings.web.ssl_certfile else "http"
    host_shown = f"[{settings.web.host}]" if ":" in settings.web.host else settings.web.host

    def listening(chosen: int) -> None:
        terminal.note(f"{scheme}://{host_shown}:{chosen}/")

    try:
        with terminal.troubles():
            run_program("web", lambda of, stop: run_web(of, stop, listening), settings)
    except (CannotListen, ConfigError) as error:
        raise terminal.fail(str(error)) from None
