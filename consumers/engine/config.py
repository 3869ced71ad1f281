"""Configuration comes from the environment, is checked as a whole, and no secret of it is shown.

Outside the profile `local` nothing starts without TLS, source rules, signatures and the
broker's own clock. Names: `ESCROW_<FIELD>`, or `ESCROW_<SECTION>__<FIELD>` with two underscores.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from consumers.engine.connections import (
    MASK,
    DatabaseSettings,
    KafkaSettings,
    Section,
    is_loopback,
)
from consumers.engine.safeguards import SendingSettings, SigningSettings

PREFIX: Final = "ESCROW_"

Profile = Literal["local", "production"]
TimestampType = Literal["LogAppendTime", "CreateTime"]
Port = Annotated[int, Field(ge=0, le=65_535)]
Role = Literal["viewer", "auditor", "operator", "mediator"]  # each may what those before it may


class ConfigError(Exception):
    """The configuration is unusable; the text names each variable and what is wrong with it."""


class BatchSettings(Section):
    """How much one transaction takes at most, and how long Kafka may gather for the next."""

    records_max: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    bytes_max: Annotated[int, Field(ge=1_048_576, le=268_435_456)] = 16_777_216
    linger_ms: Annotated[int, Field(ge=0, le=1_000)] = 15


class RelaySettings(Section):
    """Which slices of the outbox a relay sends, as JSON: `[0,1,2]`. Relays may share them out."""

    slices: Annotated[
        tuple[Annotated[int, Field(ge=0, le=15)], ...], Field(min_length=1, max_length=16)
    ] = tuple(range(16))
    retention_hours: Annotated[int, Field(ge=1, le=87_600)] = 168  # sent rows are kept so long


class WebSettings(Section):
    """The console. On loopback all have one role; elsewhere a token says who may do what."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Port = 8099  # 0: a free one
    role: Role = "viewer"  # of everyone, where no tokens are given
    operator: str | None = None  # the name kept with what is done, where no tokens are given
    tokens_file: Path | None = None  # JSON: {"TOKEN": {"name": "anna", "role": "operator"}}
    ssl_certfile: Path | None = None  # PEM
    ssl_keyfile: Path | None = None
    names: tuple[str, ...] = ()  # under which it is asked for beside loopback's, as JSON
    proxy_people_file: Path | None = None  # JSON: {"anna": "operator"}, who a proxy may name
    proxy_secret_file: Path | None = None  # what the proxy proves itself with, in X-Escrow-Proxy
    proxy_user_header: str = "X-Forwarded-User"
    gateway_files: Path | None = None  # folder of gateways' daily files, to be reconciled by name
    webhooks: Path | None = None  # where `escrow webhooks run` keeps what it tells: its --data


class WebhookSettings(Section):
    """Whom `escrow webhooks run` tells of order events; without a file nobody."""

    endpoints_file: Path | None = None  # JSON, see docs/webhooks.md


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


def _default_timestamp_type(known: Mapping[str, object]) -> TimestampType:
    return "LogAppendTime" if known.get("profile") == "production" else "CreateTime"


class Settings(BaseSettings):
    """Everything a process of ours can be told. Frozen; made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    profile: Profile = "local"
    kafka: KafkaSettings = KafkaSettings()
    database: DatabaseSettings = DatabaseSettings()
    timestamp_type: TimestampType = Field(default_factory=_default_timestamp_type)
    batch: BatchSettings = BatchSettings()
    relay: RelaySettings = RelaySettings()
    log: LogSettings = LogSettings()
    web: WebSettings = WebSettings()
    webhooks: WebhookSettings = WebhookSettings()
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = None  # none: no metrics; 0: a free one
    traces_endpoint: str | None = (
        None  # of an OTLP collector, such as http://127.0.0.1:4318/v1/traces
    )
    metrics_targets: Path | None = None  # folder in which each process says where its metrics are
    source_rules: Path | None = None  # who may send what; without it everyone may
    signing: SigningSettings = SigningSettings()
    sending: SendingSettings = SendingSettings()

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        wrong = self._unsafe()
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _unsafe(self) -> list[str]:
        """Why this must not start, each with what to do about it; empty where it may."""
        wrong: list[str] = []
        is_local = self.profile == "local"
        if not self.kafka.is_encrypted and not (is_local and self.kafka.is_loopback):
            wrong.append(
                "kafka.security_protocol: plaintext is for loopback in the profile local only; "
                "set SASL_SSL or SSL"
            )
        database = self.database
        near = database.is_socket or (is_local and is_loopback(database.host))
        if not database.is_encrypted and not near:
            wrong.append(
                "database.url: plaintext is for loopback in the profile local only; "
                "add ?sslmode=verify-full"
            )
        if not is_local and self.source_rules is None:
            wrong.append("source_rules: name the file that says who may send what")
        if self.source_rules is not None and not self.source_rules.is_file():
            wrong.append("source_rules: no such file")
        if not is_local and (unasked := self.signing.unasked):
            wrong.append(
                "signing.keys_file and signing.required: facts must be signed that come to "
                + ", ".join(unasked)
            )
        if not is_local and self.timestamp_type != "LogAppendTime":
            wrong.append(
                "timestamp_type: a producer's clock can be forged; only LogAppendTime will do"
            )
        web = self.web
        if not is_loopback(web.host) and not (web.tokens_file and web.ssl_certfile):
            wrong.append("web.host: beyond loopback only with web.tokens_file and web.ssl_certfile")
        if (web.proxy_people_file is None) != (web.proxy_secret_file is None):
            wrong.append("web.proxy_people_file and web.proxy_secret_file belong together")
        if (web.ssl_certfile is None) != (web.ssl_keyfile is None):
            wrong.append("web.ssl_certfile and web.ssl_keyfile belong together")
        if not _is_private(self.traces_endpoint):
            wrong.append("traces_endpoint: plaintext is for loopback only; write https://")
        if database.statement_timeout_ms * 2 > self.kafka.max_poll_interval_ms:
            wrong.append(
                "database.statement_timeout_ms: at most half of kafka.max_poll_interval_ms"
            )
        return wrong


def _is_private(url: str | None) -> bool:
    """True if nobody on the way can read what is sent there."""
    if url is None or url.startswith("https://"):
        return True
    return is_loopback(urlsplit(url).hostname or "")


def load_settings(**given: object) -> Settings:
    """The settings of the environment, `given` ones first. Raises ConfigError in plain words."""
    hints = _single_underscores(os.environ)
    if hints:
        raise ConfigError("\n".join(hints))
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error))) from None
    except SettingsError as error:
        raise ConfigError(
            f"{error}: a list is JSON, and goes by ESCROW_<SECTION>__<FIELD>"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from None


def render_settings(settings: Settings) -> dict[str, str]:
    """Variable name → value as text, secrets masked, for `escrow config show`. Stable order."""
    shown: dict[str, str] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            for field in type(value).model_fields:
                shown[f"{PREFIX}{name}__{field}".upper()] = _text(getattr(value, field))
        else:
            shown[f"{PREFIX}{name}".upper()] = _text(value)
    shown[f"{PREFIX}DATABASE__URL"] = settings.database.shown_url
    return shown


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple | dict):
        return json.dumps(value)
    return MASK if isinstance(value, SecretStr) else str(value)


def _explain(error: ValidationError) -> list[str]:
    """One line a fault: the variable, and what is wrong; never the value."""
    lines = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        if fault["type"] == "default_factory_not_called":
            continue  # only says that another line is wrong
        variable = PREFIX + "__".join(str(part) for part in fault["loc"]).upper()
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "no such setting"
        lines.append(f"{variable}: {text}" if fault["loc"] else text)
    return lines


def _single_underscores(environ: Mapping[str, str]) -> list[str]:
    """The likeliest typing error: `ESCROW_KAFKA_X` for `ESCROW_KAFKA__X` would go unnoticed."""
    sections = {
        name: field.annotation.model_fields
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }
    return [
        f"{variable}: write {PREFIX}{section.upper()}__{field.upper()}, with two underscores"
        for section, fields in sections.items()
        for field in fields
        for variable in (f"{PREFIX}{section}_{field}".upper(),)
        if variable in environ
    ]
