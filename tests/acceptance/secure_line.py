"""A whole line that believes nobody, and the settings of each who has a name there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from consumers.engine.acls import user_of
from consumers.engine.config import Settings, load_settings
from ops.local.pipeline import Pipeline
from schemas.door import Record
from schemas.topics import TOPICS

STRANGER: Final = "stranger"  # has a password, and no right
_PASSWORD: Final = "password-of-a-stranger"
_WRITER: Final = {topic.name: topic.writers[0] for topic in TOPICS}


class SecureLine:
    def __init__(self, pipeline: Pipeline) -> None:
        assert pipeline.stack.secure is not None
        assert pipeline.stack.kafka is not None
        assert pipeline.stack.postgres is not None
        self.pipeline = pipeline
        self.secure = pipeline.stack.secure
        self.kafka = pipeline.stack.kafka
        self.postgres = pipeline.stack.postgres
        self.secure.kafka.set_passwords(self.kafka.mutual_servers, {STRANGER: _PASSWORD})

    @property
    def admin(self) -> Settings:
        """Those of who sets up, by certificate."""
        return self.pipeline.settings

    def settings(self, who: str, **kafka: Any) -> Settings:
        """Those of a program, or of a partner outside."""
        told = self.pipeline.stack.environment_of("metrics" if who == STRANGER else who)
        given = _section("KAFKA", told)
        if who == STRANGER:
            del given["sasl_password_file"]
            given |= {"sasl_username": STRANGER, "sasl_password": _PASSWORD}
        database = {"url": told["ESCROW_DATABASE__URL"]} if "ESCROW_DATABASE__URL" in told else {}
        if database:
            database["password_file"] = told["ESCROW_DATABASE__PASSWORD_FILE"]
        return load_settings(
            kafka={**given, "request_timeout_ms": 10_000, **kafka},
            database=database,
            signing=_section("SIGNING", told),
        )

    def secrets(self) -> set[str]:
        """All passwords and keys that there are."""
        folder = self.secure.authority_file.parent
        found = {path.read_text() for path in folder.glob("*.password")}
        for key in folder.glob("*.key"):
            found |= set(key.read_text().splitlines()[1:-1])
        return found | {json.loads(key.read_text())["d"] for key in folder.glob("*.jwk")}


def _section(name: str, told: Mapping[str, str]) -> dict[str, Any]:
    prefix = f"ESCROW_{name}__"
    return {
        variable.removeprefix(prefix).lower(): value
        for variable, value in told.items()
        if variable.startswith(prefix)
    }


def writer_of(record: Record) -> str:
    """Which partner outside sends this."""
    return _WRITER[record.topic]


@contextmanager
def secure_line() -> Iterator[SecureLine]:
    """Everything but the views; each signs with a key of his own."""
    with Pipeline(signed=True, web=True, metrics=True) as pipeline:
        yield SecureLine(pipeline)


def user_name(who: str) -> str:
    return STRANGER if who == STRANGER else user_of(who, {}).removeprefix("User:")
