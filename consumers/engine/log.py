"""Logs are one JSON object a line with control characters escaped; never a payload, never a key."""

import logging
import sys

import structlog

from consumers.engine.config import LogSettings

_level = logging.WARNING  # before anybody has configured us


def level() -> int:
    """From which level on a line is said, in `logging`'s numbers."""
    return _level


def configure_logging(settings: LogSettings, **always: str) -> None:
    """Set up structlog and the standard library behind it; `always` goes into every line."""
    global _level  # noqa: PLW0603  logging is the process's own
    _level = logging.getLevelNamesMapping()[settings.level.upper()]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if settings.format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**always)
