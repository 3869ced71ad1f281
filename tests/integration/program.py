"""The program `escrow` in this process, as a person at a terminal or a script calls it."""

import json
from typing import Any, Final, Self

import pytest
from typer.testing import CliRunner, Result

from consumers.engine.config import Settings
from ops.cli.main import app

_FILES: Final = ("ssl_cafile", "ssl_certfile", "ssl_keyfile")


class Program:
    """`escrow ...` with the addresses of these settings."""

    def __init__(self, settings: Settings, patch: pytest.MonkeyPatch, columns: int = 100) -> None:
        kafka = settings.kafka
        for name in ("bootstrap_servers", "security_protocol", *_FILES):
            if (value := getattr(kafka, name)) is not None:
                patch.setenv(f"ESCROW_KAFKA__{name.upper()}", str(value))
        patch.setenv("ESCROW_DATABASE__URL", settings.database.connection_url)
        self._begin(patch, columns)

    @classmethod
    def of_environment(cls, patch: pytest.MonkeyPatch, columns: int = 100) -> Self:
        """With whatever addresses the environment holds."""
        made = cls.__new__(cls)
        made._begin(patch, columns)
        return made

    def _begin(self, patch: pytest.MonkeyPatch, columns: int) -> None:
        patch.setenv("COLUMNS", str(columns))
        self._runner = CliRunner()

    def __call__(self, *arguments: str, code: int = 0) -> Result:
        """Run it; the exit code must be `code`."""
        result = self._runner.invoke(app, arguments)
        said = f"{' '.join(arguments)}: {result.exit_code}\n{result.output}"
        assert result.exit_code == code, said
        assert result.exception is None or isinstance(result.exception, SystemExit), said
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What it prints as JSON."""
        return json.loads(self(*arguments, "--json", code=code).stdout)
