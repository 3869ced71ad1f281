"""The console's server: it listens until told to stop, and a viewer who stays does not hold it up."""

import threading
from collections.abc import Callable
from typing import Final

import structlog
import uvicorn

from consumers.engine.config import Settings
from consumers.engine.health import HEALTH
from ops.web.app import create_app

LISTENING_SECONDS: Final = 10.0
_LEAVE_SECONDS: Final = 2
log = structlog.get_logger()


class CannotListen(Exception):
    """The address cannot be listened on; the text says which."""


def run_web(
    settings: Settings, stop: threading.Event, listening: Callable[[int], None] = lambda _port: None
) -> None:
    """Serve until `stop` is set; `listening` is told the port once, which was chosen where 0 was asked for.

    Raises CannotListen, ConfigError.
    """
    web = settings.web
    config = uvicorn.Config(
        create_app(settings),
        host=web.host,
        port=web.port,
        ssl_certfile=web.ssl_certfile,
        ssl_keyfile=web.ssl_keyfile,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # an address is the connection's, whatever a header says
        lifespan="on",
        timeout_graceful_shutdown=_LEAVE_SECONDS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_serve, args=(server,), name="web")  # signals stay ours
    thread.start()
    told = False
    try:
        while not stop.wait(0.1):
            HEALTH.turned(worked=server.started)
            if server.started and not told:
                listening(server.servers[0].sockets[0].getsockname()[1])
                told = True
            if not thread.is_alive():
                raise CannotListen(f"cannot listen on {web.host}:{web.port}: is it taken?")
    finally:
        server.should_exit = True
        thread.join()


def _serve(server: uvicorn.Server) -> None:
    try:
        server.run()
    except SystemExit:  # how uvicorn says that it cannot listen
        log.error("cannot listen", host=server.config.host, port=server.config.port)  # noqa: TRY400  it has said why
