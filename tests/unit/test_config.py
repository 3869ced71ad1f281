"""Configuration: from the environment, checked as a whole, refused where it is unsafe, no secret shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.engine.config import ConfigError, Settings, load_settings, render_settings
from consumers.engine.connections import is_loopback

SECRET = "correct-horse/battery"
TLS_DATABASE = f"postgresql+psycopg://escrow:{SECRET.replace('/', '%2F')}@db.example/escrow"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("ESCROW_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_variables(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"ESCROW_{name}", value)

    return set_variables


@pytest.fixture
def production(given: Callable[..., None], tmp_path: Path) -> dict[str, str]:
    """All that the profile `production` asks for."""
    rules = tmp_path / "sources.json"
    rules.write_text("{}")
    return {
        "PROFILE": "production",
        "KAFKA__BOOTSTRAP_SERVERS": "kafka-1.example:9093,kafka-2.example:9093",
        "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA__SASL_USERNAME": "escrow",
        "KAFKA__SASL_PASSWORD": SECRET,
        "DATABASE__URL": f"{TLS_DATABASE}?sslmode=verify-full",
        "SOURCE_RULES": str(rules),
        "SIGNING__KEYS_FILE": str(rules),
    }


def refused() -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_without_a_word_it_is_local_on_loopback_with_the_producers_clock() -> None:
    settings = load_settings()
    assert settings.profile == "local"
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert settings.kafka.session_timeout_ms == 6_000
    assert settings.timestamp_type == "CreateTime"
    assert settings.metrics_port is None


def test_the_environment_names_sections_with_two_underscores(given: Callable[..., None]) -> None:
    given(KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1", BATCH__RECORDS_MAX="7", LOG__LEVEL="debug")
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:1"
    assert settings.batch.records_max == 7
    assert settings.log.level == "debug"


def test_what_is_given_in_code_wins_over_the_environment(given: Callable[..., None]) -> None:
    given(TIMESTAMP_TYPE="CreateTime")
    assert load_settings(timestamp_type="LogAppendTime").timestamp_type == "LogAppendTime"


def test_an_empty_variable_is_no_variable(given: Callable[..., None]) -> None:
    given(METRICS_PORT="", KAFKA__SASL_USERNAME="")
    assert load_settings() == Settings()


def test_one_underscore_is_the_likeliest_mistake_and_is_named(given: Callable[..., None]) -> None:
    given(KAFKA_BOOTSTRAP_SERVERS="10.0.0.1:9092")
    assert refused() == (
        "ESCROW_KAFKA_BOOTSTRAP_SERVERS: write ESCROW_KAFKA__BOOTSTRAP_SERVERS, with two underscores"
    )


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("KAFKA__BOOTSTRAP_SERVERS", "kafka", "expected host:port"),
        ("KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092,", "expected host:port"),
        ("KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:99999", "expected host:port"),
        ("KAFKA__NO_SUCH", "1", "ESCROW_KAFKA__NO_SUCH: no such setting"),
        ("KAFKA__SESSION_TIMEOUT_MS", "soon", "ESCROW_KAFKA__SESSION_TIMEOUT_MS: "),
        ("KAFKA__HEARTBEAT_INTERVAL_MS", "3000", "at most a third of session_timeout_ms"),
        ("KAFKA__MAX_POLL_INTERVAL_MS", "5000", "not below session_timeout_ms"),
        ("KAFKA__SSL_CERTFILE", "cert.pem", "ssl_certfile and ssl_keyfile belong together"),
        ("KAFKA__GROUP_PREFIX", "a b", "ESCROW_KAFKA__GROUP_PREFIX: "),
        ("DATABASE__URL", "postgresql://127.0.0.1/escrow", "expected postgresql+psycopg://"),
        ("DATABASE__URL", "postgresql+psycopg://127.0.0.1:port/escrow", "not a URL"),
        ("DATABASE__LOCK_TIMEOUT_MS", "30000", "not above statement_timeout_ms"),
        ("DATABASE__STATEMENT_TIMEOUT_MS", "90000", "at most half of kafka.max_poll_interval_ms"),
        ("BATCH__RECORDS_MAX", "0", "ESCROW_BATCH__RECORDS_MAX: "),
        ("METRICS_PORT", "65536", "ESCROW_METRICS_PORT: "),
        ("PROFILE", "prod", "ESCROW_PROFILE: "),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_it(
    given: Callable[..., None], variable: str, value: str, said: str
) -> None:
    given(**{variable: value})
    lines = refused().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("endpoint", "good"),
    [
        ("http://127.0.0.1:4318/v1/traces", True),
        ("https://collector.example/v1/traces", True),
        ("http://collector.example/v1/traces", False),
        ("http://127.0.0.1.example/v1/traces", False),
        ("collector.example", False),
    ],
)
def test_traces_leave_this_machine_over_tls_only(
    given: Callable[..., None], endpoint: str, good: bool
) -> None:
    given(TRACES_ENDPOINT=endpoint)
    if good:
        assert load_settings().traces_endpoint == endpoint
    else:
        assert "traces_endpoint: plaintext is for loopback only" in refused()


def test_a_list_that_is_not_json_is_refused_in_words(given: Callable[..., None]) -> None:
    given(RELAY="0,1")
    assert "a list is JSON" in refused()
    given(RELAY='{"slices": [0, 16]}')
    assert "ESCROW_RELAY__SLICES__1: " in refused()


def test_all_mistakes_are_told_at_once(given: Callable[..., None]) -> None:
    given(KAFKA__SESSION_TIMEOUT_MS="x", BATCH__RECORDS_MAX="0", LOG__FORMAT="xml")
    assert [line.partition(":")[0] for line in refused().splitlines()] == [
        "ESCROW_KAFKA__SESSION_TIMEOUT_MS",
        "ESCROW_BATCH__RECORDS_MAX",
        "ESCROW_LOG__FORMAT",
    ]


def test_production_starts_with_tls_source_rules_and_the_brokers_clock(
    given: Callable[..., None], production: dict[str, str]
) -> None:
    given(**production)
    assert load_settings().timestamp_type == "LogAppendTime"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"KAFKA__SECURITY_PROTOCOL": "PLAINTEXT"}, "kafka.security_protocol"),
        ({"KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "kafka.security_protocol"),
        (
            {"KAFKA__SECURITY_PROTOCOL": "PLAINTEXT", "KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"},
            "kafka.security_protocol",
        ),
        ({"DATABASE__URL": TLS_DATABASE}, "database.url"),
        ({"DATABASE__URL": f"{TLS_DATABASE}?sslmode=require"}, "database.url"),
        ({"DATABASE__URL": "postgresql+psycopg://escrow@127.0.0.1/escrow"}, "database.url"),
        ({"SOURCE_RULES": ""}, "source_rules: name the file"),
        ({"SOURCE_RULES": "no-such-file.json"}, "source_rules: no such file"),
        ({"SIGNING__KEYS_FILE": ""}, "must be signed that come to refund_requests, mediation_"),
        ({"SIGNING__REQUIRED": '["refund_requests"]'}, "must be signed that come to mediation_"),
        ({"SIGNING__KEYS_FILE": "no-such-file.json"}, "keys_file: no such file"),
        ({"SIGNING__PRIVATE_KEY_FILE": "no-such-file.json"}, "private_key_file: no such file"),
        ({"SIGNING__REQUIRED": '["everything"]'}, "SIGNING__REQUIRED__0"),
        ({"SIGNING__RULING_LIMITS": '{"XXX": 1}'}, "SIGNING__RULING_LIMITS"),
        ({"TIMESTAMP_TYPE": "CreateTime"}, "timestamp_type"),
        ({"KAFKA__SASL_PASSWORD": ""}, "SASL needs"),
    ],
)
def test_production_refuses_what_is_unsafe(
    given: Callable[..., None], production: dict[str, str], change: dict[str, str], said: str
) -> None:
    given(**production | change)
    assert said in refused()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092,kafka.example:9092"),
        ("DATABASE__URL", "postgresql+psycopg://escrow@db.example/escrow"),
        ("DATABASE__URL", "postgresql+psycopg://escrow@127.0.0.1/escrow?host=db.example"),
    ],
)
def test_plaintext_leaves_the_machine_in_no_profile(
    given: Callable[..., None], variable: str, value: str
) -> None:
    given(**{variable: value})
    assert "plaintext is for loopback" in refused()


def test_a_unix_socket_is_no_network(
    given: Callable[..., None], production: dict[str, str]
) -> None:
    given(**production | {"DATABASE__URL": "postgresql+psycopg:///escrow?host=/run/postgresql"})
    assert load_settings().database.is_socket


def test_passwords_come_from_files_as_well(
    given: Callable[..., None], production: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    given(**production | {"KAFKA__SASL_PASSWORD": "", "KAFKA__SASL_PASSWORD_FILE": str(file)})
    given(
        DATABASE__URL="postgresql+psycopg://escrow@db.example:5432/escrow?sslmode=verify-full",
        DATABASE__PASSWORD_FILE=str(file),
    )
    settings = load_settings()
    assert settings.database.connection_url == (
        "postgresql+psycopg://escrow:correct-horse%2Fbattery@db.example:5432/escrow"
        "?sslmode=verify-full"
    )
    assert SECRET not in repr(settings)


def test_a_password_file_that_is_not_there_is_named(given: Callable[..., None]) -> None:
    given(KAFKA__SASL_PASSWORD_FILE="no-such-file")
    assert refused() == "cannot read no-such-file: No such file or directory"


def test_what_is_shown_holds_every_setting_and_no_secret(
    given: Callable[..., None], production: dict[str, str]
) -> None:
    given(
        **production | {"DATABASE__URL": f"{TLS_DATABASE}?sslmode=verify-full&password=cor%72ect"}
    )
    given(KAFKA__SSL_KEY_PASSWORD=SECRET)
    shown = render_settings(load_settings())
    assert shown["ESCROW_DATABASE__URL"] == (
        "postgresql+psycopg://escrow:********@db.example/escrow?sslmode=verify-full&password=********"
    )
    assert shown["ESCROW_KAFKA__SASL_PASSWORD"] == "********"
    assert shown["ESCROW_KAFKA__SASL_USERNAME"] == "escrow"
    assert shown["ESCROW_METRICS_PORT"] == ""
    everything = repr(shown) + repr(load_settings())
    assert "horse" not in everything
    assert "cor%72ect" not in everything


def test_what_is_shown_can_be_given_back(
    given: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    given(BATCH__RECORDS_MAX="9", METRICS_PORT="0")
    settings = load_settings()
    for name, value in render_settings(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_loopback_is_an_address_and_not_a_name_that_looks_like_one(host: str, near: bool) -> None:
    assert is_loopback(host) is near
