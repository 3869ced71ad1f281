"""What the programs of this line serve now, read as Prometheus reads it: each found by the file that it left.

A program that does not answer is down (`up` is 0); nobody waits for it longer than two seconds.
"""

import http.client
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from ops.sample_memory import Labels, Sample

JOB: Final = "escrow"
UP: Final = "up"
ANSWER_SECONDS_MAX: Final = 2.0
BYTES_MAX: Final = 4_000_000


class Target(NamedTuple):
    """One program: where it is, and what its file says of it."""

    address: str
    labels: Labels


def targets_in(folder: Path) -> list[Target]:
    """What the files of this folder name; one that is being written or taken away is passed over."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            for group in json.loads(file.read_text(encoding="utf-8")):
                labels = tuple(sorted(group.get("labels", {}).items()))
                found += [Target(str(address), labels) for address in group["targets"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def scrape(folder: Path, names: Collection[str]) -> list[Sample]:
    """These metrics of all programs that left a file here, and whether each is `up`."""
    samples: list[Sample] = []
    for target in targets_in(folder):
        own = (("instance", target.address), ("job", JOB), *target.labels)
        text = _asked(target.address)
        samples.append(Sample(UP, tuple(sorted(own)), 0.0 if text is None else 1.0))
        if text is not None:
            samples += _read(text, names, own)
    return samples


def of_families(families: Iterable[Family], names: Collection[str]) -> Iterator[Sample]:
    """The same from families that were made here."""
    for family in families:
        for sample in family.samples:
            if sample.name in names:
                yield Sample(sample.name, tuple(sorted(sample.labels.items())), sample.value)


def _read(text: str, names: Collection[str], own: Labels) -> Iterator[Sample]:
    wanted = [line for line in text.splitlines() if _name(line) in names]
    for family in text_string_to_metric_families("\n".join(wanted) + "\n"):
        for sample in family.samples:
            labels = dict(own) | sample.labels  # ours say more than a file's
            yield Sample(sample.name, tuple(sorted(labels.items())), sample.value)


def _name(line: str) -> str:
    return line.partition(" ")[0].partition("{")[0]


def _asked(address: str) -> str | None:
    connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read(BYTES_MAX).decode() if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
