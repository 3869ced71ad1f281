"""Every metric that a process of ours serves, with its unit and one sentence; names are a promise to dashboards.

Names of lag follow kafka-lag-exporter, so that a stock exporter can take our place. Docs, alerts
and dashboards are held against this list by tests.
"""

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Source = Literal["stage", "relay", "ticker", "exporter", "every program"]

_PARTITION: Final = "cluster_name group topic partition"
_STAGE: Final = "stage topic partition"
_SHORT: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_MANY: Final = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)


class Metric(NamedTuple):
    """One family. `name` is as it is scraped; counters end in `_total`."""

    name: str
    kind: Kind
    source: Source  # which program serves it
    unit: str
    sentence: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...]


def _gauge(name: str, unit: str, sentence: str, labels: str = "") -> Metric:
    return Metric(name, "gauge", "exporter", unit, sentence, tuple(labels.split()), ())


def _counter(name: str, unit: str, sentence: str, labels: str = "") -> Metric:
    return Metric(name, "counter", "exporter", unit, sentence, tuple(labels.split()), ())


def _histogram(
    name: str, unit: str, sentence: str, labels: str, buckets: tuple[float, ...]
) -> Metric:
    return Metric(name, "histogram", "exporter", unit, sentence, tuple(labels.split()), buckets)


def _of(source: Source, *metrics: Metric) -> tuple[Metric, ...]:
    return tuple(metric._replace(source=source) for metric in metrics)


CATALOGUE: Final = (
    *_of(
        "stage",
        _counter(
            "escrow_facts_total",
            "records",
            "Records decided, by outcome and code.",
            "stage outcome code",
        ),
        _histogram(
            "escrow_batch_seconds",
            "seconds",
            "Time from the first try of a batch to its commit.",
            "stage",
            _SHORT,
        ),
        _histogram(
            "escrow_batch_records", "records", "Records in a committed batch.", "stage", _MANY
        ),
        _counter(
            "escrow_batch_retries_total",
            "batches",
            "Batches begun again, by what the database's error asked for.",
            "stage remedy",
        ),
        _counter(
            "escrow_consumer_restarts_total",
            "restarts",
            "Consumers or connections made anew, by reason.",
            "stage reason",
        ),
        _gauge(
            "escrow_partitions_owned", "partitions", "Partitions that this worker reads.", "stage"
        ),
    ),
    *_of(
        "relay",
        _counter("escrow_relay_sent_total", "records", "Records sent and marked."),
        _counter(
            "escrow_relay_refused_total",
            "records",
            "Times that Kafka refused a record, which then holds up its slice.",
        ),
        _counter(
            "escrow_relay_slices_lost_total",
            "slices",
            "Slices of the outbox that another relay took over.",
        ),
        _gauge("escrow_relay_slices", "slices", "Slices that this relay writes; 16 in all."),
    ),
    *_of(
        "ticker",
        _gauge(
            "escrow_ticker_active",
            "0 or 1",
            "1 for the one ticker that works, 0 for those that stand by.",
        ),
        _counter("escrow_ticker_ticks_total", "facts", "Deadlines announced."),
        _counter(
            "escrow_ticker_asked_total",
            "commands",
            "Silent commands that gateways were asked about.",
        ),
    ),
    *_of(
        "every program",
        _gauge(
            "escrow_turn_age_seconds",
            "seconds",
            "Since the main loop last went round; `/livez` judges it.",
            "program",
        ),
        _gauge(
            "escrow_work_age_seconds",
            "seconds",
            "Since the program last had the answers that it needs; `/readyz` judges it.",
            "program",
        ),
    ),
    *_of(
        "exporter",
        _gauge(
            "kafka_consumergroup_group_offset",
            "offset",
            "The next offset to be decided: the position in the database, the truth.",
            _PARTITION,
        ),
        _gauge(
            "kafka_consumergroup_group_lag",
            "records",
            "Records between the position and the end of the log.",
            _PARTITION,
        ),
        _gauge(
            "kafka_consumergroup_group_lag_seconds",
            "seconds",
            "Age of the next record to be decided; 0 at the end.",
            _PARTITION,
        ),
        _gauge(
            "kafka_consumergroup_group_sum_lag",
            "records",
            "The lag of a group in records, over all partitions.",
            "cluster_name group",
        ),
        _gauge(
            "kafka_consumergroup_group_max_lag_seconds",
            "seconds",
            "The lag of a group in seconds, in its worst partition.",
            "cluster_name group",
        ),
        _gauge(
            "kafka_partition_latest_offset",
            "offset",
            "The end of the log, as readers of committed records see it.",
            "cluster_name topic partition",
        ),
        _gauge(
            "kafka_partition_earliest_offset",
            "offset",
            "The first offset that retention has left.",
            "cluster_name topic partition",
        ),
        _gauge(
            "escrow_stage_in_per_second",
            "records/s",
            "Records written to the log, over the last five seconds.",
            _STAGE,
        ),
        _gauge(
            "escrow_stage_out_per_second",
            "records/s",
            "Records decided, over the last five seconds.",
            _STAGE,
        ),
        _gauge(
            "escrow_stage_drain_seconds",
            "seconds",
            "Time until nothing waits if all goes on as now; +Inf: never; 0: nothing waits.",
            "stage",
        ),
        _gauge(
            "escrow_stage_members", "processes", "Members of the stage's consumer group.", "stage"
        ),
        _gauge(
            "escrow_stage_verdict",
            "0 or 1",
            "1 for the one verdict that holds now: ok, slow, stuck, no-members.",
            "stage topic partition verdict",
        ),
        _gauge("escrow_topics_missing", "topics", "Topics of stages that do not exist."),
        _gauge(
            "escrow_held_amount_minor", "minor units", "Buyers' money that is held.", "currency"
        ),
        _gauge(
            "escrow_money_imbalance_minor",
            "minor units",
            "captured - held - refunded - paid out - charged back; always 0.",
            "currency",
        ),
        _gauge(
            "escrow_supplier_debt_minor",
            "minor units",
            "What suppliers owe after chargebacks that came when they had been paid.",
            "currency",
        ),
        _gauge(
            "escrow_platform_loss_minor",
            "minor units",
            "What the platform has lost to chargebacks.",
            "currency",
        ),
        _gauge("escrow_orders", "orders", "Orders, by status.", "status"),
        _gauge("escrow_commands", "commands", "Commands to gateways, by state.", "kind state"),
        _gauge(
            "escrow_commands_open_amount_minor",
            "minor units",
            "Money that was decided to go out and has no final answer yet.",
            "kind currency",
        ),
        _gauge(
            "escrow_commands_unresolved",
            "commands",
            "Failed or returned commands that nobody has reissued.",
            "kind",
        ),
        _gauge(
            "escrow_commands_held",
            "commands",
            "Commands that are kept back until a person has looked.",
        ),
        _gauge(
            "escrow_sending_paused",
            "yes or no",
            "1 while commands of this scope are not sent: a person has paused them, or the breaker.",
            "scope",
        ),
        _gauge(
            "escrow_command_silent_age_seconds",
            "seconds",
            "Since the longest unanswered command was asked for, by the rules' clock; 0: none.",
            "kind",
        ),
        _gauge(
            "escrow_outbox_pending",
            "records",
            "Records in the outbox that the relay has yet to send.",
        ),
        _gauge(
            "escrow_outbox_oldest_age_seconds",
            "seconds",
            "Age of the oldest of them, by the rules' clock; 0: none.",
        ),
        _gauge(
            "escrow_dead_letters",
            "records",
            "Dead letters about which nobody has done anything.",
            "code",
        ),
        _gauge("escrow_parked", "facts", "Facts that wait for another one.", "code"),
        _gauge(
            "escrow_parked_oldest_age_seconds",
            "seconds",
            "Age of the oldest of them, by the rules' clock; 0: none.",
            "code",
        ),
        _gauge(
            "escrow_deadlines_overdue",
            "deadlines",
            "Deadlines that have passed by the rules' clock and were not decided.",
        ),
        _gauge(
            "escrow_exporter_look_age_seconds",
            "seconds",
            "Age of what this program shows: `lag` and `rows`; too old, the rest is left out.",
            "what",
        ),
    ),
)
BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}
