"""A real Prometheus beside a line: it scrapes the programs, judges them, and is asked."""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ops.local.observed import RULES, TARGETS, prometheus_config
from ops.local.pipeline import Pipeline
from ops.local.ports import LOOPBACK, free_port
from tests.debian import program
from tests.integration.waiting import until

WINDOW: Final = "15s"


def hasty(rules: str) -> str:
    """The same rules for a drill: they wait a second, and look back for a few."""
    return re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", re.sub(r"for: \d+m", "for: 1s", rules))


class Prometheus:
    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Labels, sorted, without those of the target → value."""
        found = self._ask("query", query=expression)
        assert found["resultType"] == "vector", expression
        return {
            tuple(
                sorted(
                    (name, value)
                    for name, value in one["metric"].items()
                    if name not in ("job", "instance", "program", "__name__")
                )
            ): float(one["value"][1])
            for one in found["result"]
        }

    @property
    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        return {
            alert["labels"]["alertname"]
            for alert in self._ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            said = json.loads(answer.read())
        assert said["status"] == "success", said
        return said["data"]

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def beside(pipeline: Pipeline, folder: Path) -> Iterator[Prometheus]:
    """One that looks every second, for as long as this lasts."""
    rules = folder / "rules.yml"
    rules.write_text(hasty(RULES.read_text()))
    config = folder / "prometheus.yml"
    made = prometheus_config(pipeline.stack.data_dir / TARGETS, "1s", rules)
    config.write_text(made.replace("refresh_interval: 5s", "refresh_interval: 1s"))
    url = f"{LOOPBACK}:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={url}",
                "--log.level=warn",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        prometheus = Prometheus(f"http://{url}")
        until(prometheus.answers)
        yield prometheus
    finally:
        process.terminate()
        process.wait(20)
