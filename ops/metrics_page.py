"""docs/metrics.md is made from the catalogue of metrics, so that the page cannot say anything else."""

from collections.abc import Iterator
from typing import Final

from consumers.engine.catalogue import CATALOGUE, Metric, Source

_SERVED_BY: Final[dict[Source, str]] = {
    "exporter": "By `escrow metrics`, one for the whole line",
    "stage": "By each process of a stage",
    "relay": "By each relay",
    "ticker": "By each ticker",
    "every program": "By every program",
}


def render_metrics_page() -> str:
    """The whole page as Markdown, ending in one newline."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Metrics"
    yield ""
    yield "<!-- made from consumers/engine/catalogue.py; a test compares -->"
    yield ""
    yield from (
        "Each program serves `/metrics`, `/livez` and `/readyz` on `ESCROW_METRICS_HOST` (loopback) and `ESCROW_METRICS_PORT`: none where it is not",
        "set, a free one where it is 0. With a free port, `ESCROW_METRICS_TARGETS` names a folder in which each program leaves a file that",
        "Prometheus reads with `file_sd_configs`, so that several processes of a stage on one host do not clash. `escrow up` does all of that:",
        "`prometheus --config.file=DATA/prometheus.yml` scrapes its programs and judges them by `ops/prometheus/rules.yml`; dashboards for Grafana are in",
        "`ops/grafana`.",
        "",
        "What is true of the whole line (lag, money, what waits) is served once, by `escrow metrics`. Start one; a second one counts nothing twice if",
        "expressions take `max`. It looks at the lag every second and at the rows every five, more seldom if they take long: at most a fiftieth of",
        "the time. What it could not look at for 30 s is left out, and `escrow_exporter_look_age_seconds` says so.",
        "",
        "Positions are those of the database, which are the truth; what is committed to Kafka follows them within half a second, so that a stock exporter",
        "sees the same ([lag.md](lag.md) says which were asked). Seconds count from the next record's own timestamp; where producers set it (`CreateTime`, in local",
        "stacks) they are theirs. Ages of rows count by the rules' clock: the wall clock where brokers stamp records, else the largest timestamp decided.",
        "",
        "`/livez` is 503 when the main loop has not gone round for two minutes: a restart could help. `/readyz` is 503 when what the program needs has",
        "not answered for 30 s. Neither looks at the lag: a stage that is far behind, and works, is ready.",
    )
    for source, heading in _SERVED_BY.items():
        yield ""
        yield f"## {heading}"
        yield ""
        yield "| metric | labels | unit | what it says |"
        yield "|---|---|---|---|"
        yield from (_row(metric) for metric in CATALOGUE if metric.source == source)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {labels} | {metric.unit} | {metric.sentence} |"
