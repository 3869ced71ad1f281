"""A line that believes nobody: it works, each tries what he may not, and strangers stay outside."""

import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from socket import create_server
from typing import Any, Final
from urllib.request import urlopen

import psutil
import pytest
from kafka import TopicPartition
from kafka.admin import NewPartitions
from kafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from kafka.protocol.admin import AlterClientQuotasRequest
from psycopg import OperationalError, connect
from sqlalchemy import make_url, text

from consumers.engine import kafka_clients
from consumers.engine.acls import (
    OURS,
    OUTSIDE,
    PRINCIPALS,
    allowed,
    apply_acls,
    commands_of,
    user_of,
)
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin, make_consumer, make_producer
from consumers.engine.safeguards import SigningSettings
from ops.audit import run_audit
from ops.local.certificates import Authority
from ops.local.gateway import effects, entries
from ops.local.traffic import Knobs, publish, stories
from schemas.commands import PAYOUT_COMMANDS, REFUND_COMMANDS
from schemas.door import Record
from schemas.facts import STAGE_TOPICS
from schemas.order_events import ORDER_EVENTS
from schemas.topics import TOPIC_NAMES
from storage.pulse import command_states
from storage.reading import snapshot
from tests.acceptance.secure_line import STRANGER, SecureLine, secure_line, user_name, writer_of
from tests.attack.honest import command
from tests.builders import a_record, sample
from tests.integration.program import Program

pytestmark = pytest.mark.timeout(300)
COMMANDS: Final = (PAYOUT_COMMANDS, REFUND_COMMANDS)
FLOOD_BYTES: Final = 200_000  # one batch
FOREIGN: Final = "somebody-elses"
EVERYONE: Final = (*PRINCIPALS, STRANGER)
# READ and WRITE bring DESCRIBE with them, ALTER_CONFIGS brings DESCRIBE_CONFIGS.
BRINGS: Final = {"READ": "DESCRIBE", "WRITE": "DESCRIBE", "ALTER_CONFIGS": "DESCRIBE_CONFIGS"}


@pytest.fixture(scope="module")
def line() -> Iterator[SecureLine]:
    with secure_line() as made:
        yield made


@pytest.fixture
def broker(line: SecureLine) -> SecureLine:
    """Its programs have ended: these tests write what no program should read."""
    for name in line.pipeline.pids:
        line.pipeline.stop_program(name)
    with closing(make_admin(line.admin)) as admin:
        if FOREIGN not in admin.list_topics():
            admin.create_topics([FOREIGN])
            admin.wait_for_topics([FOREIGN])
    return line


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not let in need not try for long."""
    monkeypatch.setattr(kafka_clients, "BOOTSTRAP_MS", 1_500)


def test_partners_programs_and_auditor_each_under_their_own_name(line: SecureLine) -> None:
    """The whole path: each fact from who may send it, to money that a gateway has moved."""
    by_writer: dict[str, list[Record]] = defaultdict(list)
    for record in stories(11, 60, knobs=Knobs(garbage=0, disorder=0)):
        by_writer[writer_of(record)].append(record)
    assert by_writer.keys() >= {"checkout", "carriers", "marketplace", "mediators"}
    for writer in ("checkout", *sorted(by_writer.keys() - {"checkout"})):
        if writer != "ticker":
            publish(by_writer[writer], line.settings(writer))
    line.pipeline.wait_idle()
    assert not line.pipeline.halted
    auditor = line.settings("auditor")
    with snapshot(auditor.database.connection_url) as connection:
        states = command_states(connection)
    assert {state for _, state in states} == {"SETTLED"}
    report = run_audit(auditor, time.time_ns() // 1_000_000, witness_topic=ORDER_EVENTS)
    assert report.findings == []
    assert report.orders >= 60
    assert report.witnessed > 60


def test_a_name_without_its_key_confirms_nothing_and_is_paid_nothing(line: SecureLine) -> None:
    """Rights to a topic are not enough: whoever holds a partner's password, or the relay's."""
    settings = line.settings("marketplace")
    unsigned = settings.model_copy(update={"signing": SigningSettings()})
    carriers = settings.model_copy(update={"signing": line.settings("carriers").signing})
    paid = a_record("payment.captured", sample("payment.captured", "o-theft", payment_id="theft"))
    publish([paid], line.settings("checkout"))
    for number, thief in enumerate((unsigned, carriers)):
        words = sample("delivery.confirmed", "o-theft")
        publish([a_record("delivery.confirmed", words, id=f"theft-{number}")], thief)
    order = command(Random(1), 1)  # its record is signed, with a key that nobody knows here
    before = len(effects(line.pipeline.gateway_dir))
    relay = line.settings("relay").model_copy(update={"signing": SigningSettings()})
    publish([order.record, order.plain], relay)
    line.pipeline.wait_idle()
    while [e.does for e in entries(line.pipeline.gateway_dir)].count("forged") < 2:
        time.sleep(0.1)
    assert len(effects(line.pipeline.gateway_dir)) == before
    with snapshot(line.settings("auditor").database.connection_url) as connection:
        status = connection.execute(
            text("SELECT status FROM escrows WHERE order_id = 'o-theft'")
        ).scalar_one()
        codes = connection.execute(
            text("SELECT code FROM dead_letters WHERE key = 'o-theft'")
        ).scalars()
        assert list(codes) == ["bad_signature"] * 2
    assert status == "HELD"


def test_no_secret_is_in_a_command_line_an_environment_a_log_or_a_page(
    line: SecureLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = line.secrets()
    assert len(secrets) > 30
    assert all(len(secret) >= 20 for secret in secrets)
    shown = {"operator.env": line.pipeline.stack.operator_file.read_text()}  # type: ignore[union-attr]
    for name, pid in [*line.pipeline.pids.items(), ("kafka", line.kafka.pid)]:
        process = psutil.Process(pid)
        shown[f"{name}: started as"] = " ".join(process.cmdline())
        shown[f"{name}: told"] = repr(process.environ())
    for log in line.pipeline.log_dir.glob("*.log"):
        shown[log.name] = log.read_text()
    for name, value in line.pipeline.stack.environment_of("operator").items():
        monkeypatch.setenv(name, value)
    escrow = Program.of_environment(monkeypatch)
    for words in (("config", "show", "--json"), ("doctor", "--json"), ("lag", "--json")):
        shown[" ".join(words)] = escrow(*words).output
    shown["settings"] = repr(line.settings("operator"))
    for where, said in shown.items():
        assert not [secret for secret in secrets if secret in said], where


def test_the_database_lets_nobody_in_without_tls_a_name_and_a_password(
    line: SecureLine, tmp_path: Path
) -> None:
    url = make_url(line.settings("relay").database.connection_url)
    plain = url.set(drivername="postgresql")
    other = Authority(tmp_path)
    refused = {
        "plaintext": plain.update_query_dict({"sslmode": "disable"}),
        "a guessed password": plain.set(password="guessed"),
        "the superuser": plain.set(username="postgres", password="x"),
        "no such name": plain.update_query_dict({"host": "elsewhere", "hostaddr": "127.0.0.1"}),
        "another authority": plain.update_query_dict({"sslrootcert": str(other.file)}),
    }
    with connect(plain.render_as_string(hide_password=False)) as connection:
        (version,) = connection.execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()  # type: ignore[misc]  # fmt: skip
        assert version in ("TLSv1.2", "TLSv1.3")
    for how, asked in refused.items():
        with pytest.raises(OperationalError) as error:
            connect(asked.render_as_string(hide_password=False)).close()
        assert "passfile" not in str(error.value), how


def test_the_console_speaks_tls_only(line: SecureLine) -> None:
    assert line.pipeline.web_url is not None
    trusting = ssl.create_default_context(cafile=line.secure.authority_file)
    with urlopen(line.pipeline.web_url, timeout=10, context=trusting) as answer:
        assert answer.status == 200
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urlopen(line.pipeline.web_url, timeout=10)
    with pytest.raises(OSError, match=r".*"):
        urlopen(line.pipeline.web_url.replace("https", "http"), timeout=10)


def by_the_catalogue(settings: Settings, who: str, topic: str) -> set[str]:
    operations: set[str] = set()
    for right in allowed(settings):
        covers = topic.startswith(right.name) if right.is_prefix else topic == right.name
        if right.principal == who and right.resource == "topic" and covers:
            operations |= {right.operation, BRINGS.get(right.operation, right.operation)}
    return operations


def test_each_principal_may_what_the_catalogue_says_and_nobody_deletes_or_gives_rights(
    broker: SecureLine,
) -> None:
    """The broker's own answer for every cell, all operations at once; then what nobody may is tried."""
    told = 0
    right = allowed(broker.admin)[0]._replace(operation="WRITE", name=PAYOUT_COMMANDS)
    for who in EVERYONE:
        settings = broker.settings(who)
        with closing(make_admin(settings)) as admin:
            described = admin.describe_topics([*TOPIC_NAMES, FOREIGN])
            assert len(described) == len(TOPIC_NAMES) + 1
            for topic in described:
                mine = set(topic["authorized_operations"] or ())
                assert mine == by_the_catalogue(settings, who, topic["name"]), (who, topic)
                told += bool(mine)
            with pytest.raises(TopicAuthorizationFailedError):
                admin.delete_topics([PAYOUT_COMMANDS])
            with pytest.raises(TopicAuthorizationFailedError):
                admin.create_partitions({PAYOUT_COMMANDS: NewPartitions(9)})
            if who != "setup":
                with pytest.raises(TopicAuthorizationFailedError):
                    admin.create_topics(["escrow.mine.v1"])
            (acl,) = kafka_acls([right], who)
            assert admin.create_acls([acl])["failed"] == [ClusterAuthorizationFailedError]
    assert told > 60


def kafka_acls(rights: list[Any], who: str) -> list[Any]:
    from consumers.engine.acls import _acls

    return list(_acls([right._replace(principal=who) for right in rights], {STRANGER: STRANGER}))


def test_only_the_relay_writes_commands_and_only_the_ticker_ticks(broker: SecureLine) -> None:
    writers = dict.fromkeys(COMMANDS, "relay") | {STAGE_TOPICS["deadlines"]: "ticker"}
    for who in ("relay", "ticker", "payments", "operator", "gateways", STRANGER):
        options = {"enable_idempotence": False, "max_block_ms": 10_000}
        with closing(make_producer(broker.settings(who), **options)) as producer:
            for topic, writer in writers.items():
                if who == writer:
                    assert producer.send(topic, key=b"k", value=b"{}").get(timeout=10).offset >= 0
                else:
                    with pytest.raises(TopicAuthorizationFailedError):
                        producer.send(topic, key=b"k", value=b"{}").get(timeout=10)


def test_a_stage_reads_its_own_topic_in_its_own_group_only(broker: SecureLine) -> None:
    for stage, other in (("payments", "deadlines"), ("supplier_reports", "payments")):
        settings = broker.settings(stage)
        assert reads(settings, settings.kafka.group(stage), STAGE_TOPICS[stage])
        with pytest.raises(GroupAuthorizationFailedError):
            reads(settings, settings.kafka.group(other), STAGE_TOPICS[stage])
        with pytest.raises(TopicAuthorizationFailedError):
            reads(settings, None, STAGE_TOPICS[other])


def reads(settings: Settings, group: str | None, topic: str) -> bool:
    """Where the log ends; in a group, also what the group's coordinator has kept."""
    where = TopicPartition(topic, 0)
    consumer = make_consumer(settings, group)
    try:
        if group is not None:
            consumer.committed(where)
        consumer.assign([where])
        consumer.seek(where, 0)
        consumer.poll(timeout_ms=100)
        return bool(consumer.end_offsets([where], timeout_ms=5_000)[where] >= 0)
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def test_a_certificate_is_as_good_as_a_password_and_opens_no_more(broker: SecureLine) -> None:
    relay = broker.secure.kafka.authority.issue(f"{OURS}relay")
    settings = broker.settings(
        "relay",
        bootstrap_servers=broker.kafka.mutual_servers,
        security_protocol="SSL",
        ssl_certfile=relay.certificate,
        ssl_keyfile=relay.key,
    )
    with closing(make_producer(settings, enable_idempotence=False)) as producer:
        assert producer.send(PAYOUT_COMMANDS, key=b"k", value=b"{}").get(timeout=10).offset >= 0
        with pytest.raises(TopicAuthorizationFailedError):
            producer.send(STAGE_TOPICS["payments"], key=b"k", value=b"{}").get(timeout=10)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "how", ["plaintext", "wrong password", "no certificate", "other authority"]
)
def test_who_cannot_show_who_he_is_stays_outside(
    broker: SecureLine, tmp_path: Path, how: str
) -> None:
    stranger = Authority(tmp_path)
    forged = stranger.issue(f"{OURS}relay")
    mutual = {"bootstrap_servers": broker.kafka.mutual_servers, "security_protocol": "SSL"}
    options: dict[str, dict[str, Any]] = {
        "plaintext": {"security_protocol": "PLAINTEXT"},
        "wrong password": {"sasl_password": "guessed"},
        "no certificate": mutual,
        "other authority": {
            **mutual,
            "ssl_certfile": forged.certificate,
            "ssl_keyfile": forged.key,
        },
    }
    with pytest.raises(KafkaError):
        make_admin(broker.settings("relay", **options[how])).close()


@pytest.mark.usefixtures("impatient")
def test_a_server_that_cannot_show_who_it_is_hears_no_password(
    broker: SecureLine, tmp_path: Path
) -> None:
    """One signed by somebody else gets no further than its certificate."""
    heard: list[bytes] = []
    forged = Authority(tmp_path).issue("kafka")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(forged.certificate, forged.key)
    with create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        done = threading.Event()

        def listen() -> None:
            while not done.is_set():
                with suppress(OSError):
                    raw, _ = server.accept()
                    raw.settimeout(2)
                    with raw, context.wrap_socket(raw, server_side=True) as peer:
                        heard.append(peer.recv(1))

        thread = threading.Thread(target=listen)
        thread.start()
        here = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(KafkaError):
            make_admin(broker.settings("relay", bootstrap_servers=here)).close()
        done.set()
        thread.join()
    assert heard == []


def test_rights_are_made_exact_and_printed_for_kafkas_own_tools(
    broker: SecureLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = broker.admin
    assert apply_acls(settings, {}) == (0, 0)
    with closing(make_admin(settings)) as admin:
        more = allowed(settings)[0]._replace(operation="WRITE", name=PAYOUT_COMMANDS)
        too_much = kafka_acls([more], "views")
        admin.create_acls(too_much)
        while too_much[0] not in admin.describe_acls(too_much[0])[0]:
            time.sleep(0.05)  # a broker follows the controller a moment later
    assert apply_acls(settings, {}) == (0, 1)
    said = list(commands_of(allowed(settings), {"relay": "CN=relay"}, "broker:9093"))
    payouts = [line for line in said if PAYOUT_COMMANDS in line and "Write" in line]
    tool = "kafka-acls.sh --bootstrap-server broker:9093 --command-config admin.properties --add"
    who = "--allow-principal User:CN=relay"  # it reads, too: what it sent before a restore
    right = f"{who} --operation Read --operation Write --topic {PAYOUT_COMMANDS}"
    assert payouts == [f"{tool} {right}"]
    assert sum("producer_byte_rate" in line for line in said) == len(OUTSIDE)
    for name, value in settings.kafka.model_dump(exclude_none=True).items():
        if name.startswith(("ssl", "security", "bootstrap")):
            monkeypatch.setenv(f"ESCROW_KAFKA__{name.upper()}", str(value))
    escrow = Program.of_environment(monkeypatch)
    shown = escrow.json("topics", "acl")
    assert {row["user"] for row in shown} == {user_of(who, {}) for who in PRINCIPALS}
    escrow("topics", "acl", "--principal", "nobody=x", code=2)
    escrow("topics", "acl", "--apply", code=2)  # no terminal to ask at, and no --yes
    assert "0 rights given" in escrow("topics", "acl", "--apply", "--yes").stderr


def test_a_partner_who_floods_is_slowed_by_the_broker_and_no_other(broker: SecureLine) -> None:
    """The quota as `topics acl` prints it, with a smaller number."""
    printed = [
        line.partition("--entity-name ")[2].split()
        for line in commands_of(allowed(broker.admin), {}, "broker:9093")
        if "--entity-name" in line
    ]
    names = {name: setting.partition("=") for name, _, setting in printed}
    name = user_name("checkout")
    key, _, rate = names[name]
    assert int(rate) > FLOOD_BYTES
    set_quota(broker.admin, name, key, FLOOD_BYTES / 20)
    try:
        deadline = time.monotonic() + 60
        while not throttled(broker.settings("checkout"), STAGE_TOPICS["payments"]):
            assert time.monotonic() < deadline  # a broker follows the controller a moment later
        assert not throttled(broker.settings("carriers"), STAGE_TOPICS["shipments"])
    finally:
        set_quota(broker.admin, name, key, None)


def throttled(settings: Settings, topic: str) -> bool:
    """Send a flood; whether the broker has told this client to wait."""
    shown = {"metrics_enabled": True, "compression_type": None, "linger_ms": 200}
    with closing(make_producer(settings, **shown)) as producer:
        for _ in range(FLOOD_BYTES // 50_000):
            producer.send(topic, value=b"x" * 50_000)
        producer.flush(30)
        groups = producer.metrics().values()
        told = [group["throttle-time-max"] for group in groups if "throttle-time-max" in group]
    assert told
    return any(milliseconds > 0 for milliseconds in told)


def set_quota(settings: Settings, user: str, key: str, value: float | None) -> None:
    """What `kafka-configs.sh --alter --entity-type users` asks for; None takes it away."""
    entry = AlterClientQuotasRequest.EntryData
    asked = entry(
        entity=[entry.EntityData(entity_type="user", entity_name=user)],
        ops=[entry.OpData(key=key, value=value or 0.0, remove=value is None)],
    )
    with closing(make_admin(settings)) as admin:
        manager = admin._manager  # it has no method for quotas
        answer = manager.run(
            manager.send, AlterClientQuotasRequest(entries=[asked], validate_only=False)
        )
    assert [one.error_code for one in answer.entries] == [0], answer
