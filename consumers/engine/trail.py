"""What became of each record, for log and traces: said after the commit, never a payload, a key or a detail.

Dead letters and alarms at info, every record at debug; what is not wanted is not even noted.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog

from consumers.engine import log as our_log
from consumers.engine import tracing
from consumers.engine.tracing import trace_of
from escrow.telling import Outgoing
from schemas.door import Fact, Instruction, Record
from schemas.reasons import Outcome
from storage.dead_letters import DeadLetter

log = structlog.get_logger()


class Trail:
    """What one try of a batch has to say, should it be committed."""

    def __init__(self, stage: str, *, every_record: bool) -> None:
        self.every_record = every_record
        self._began_ns = time.time_ns()
        self._stage = stage
        self._ended: list[tuple[Record, Fact, Outcome, str | None]] = []
        self._letters: Sequence[DeadLetter] = ()
        self._alarms: Sequence[Outgoing] = ()

    def ended(
        self,
        record: Record,
        fact: Fact | Instruction | DeadLetter,
        outcome: Outcome,
        code: str | None,
    ) -> None:
        """Note one record. Dead letters are noted as such, all together."""
        if isinstance(fact, Fact) and outcome != "dead_letter":
            self._ended.append((record, fact, outcome, code))

    def committed(self, letters: Sequence[DeadLetter], alarms: Iterable[Outgoing]) -> None:
        """Note what a person may have to look at."""
        self._letters, self._alarms = letters, tuple(alarms)

    def say(self) -> None:
        """Everything, once the batch is committed."""
        for record, fact, outcome, code in self._ended:
            self._say(log.debug, record, fact, outcome, code)
        self._trace()
        for letter in self._letters:
            self._say(log.info, letter, letter, "dead_letter", letter.code)
        for alarm in self._alarms:
            told = json.loads(alarm.payload)
            log.info(
                "alarm",
                stage=self._stage,
                alarm=told["alarm"],
                order_id=alarm.key,
                cause=told["cause"],
                trace=trace_of(dict(alarm.extensions)),
            )

    def _say(
        self,
        say: Callable[..., Any],
        place: Record | DeadLetter,
        fact: Fact | DeadLetter,
        outcome: Outcome,
        code: str | None,
    ) -> None:
        say(
            "fact",
            stage=self._stage,
            outcome=outcome,
            code=code,
            type=fact.type,
            source=fact.source,
            id=fact.id,
            order_id=fact.order_id,
            topic=place.topic,
            partition=place.partition,
            offset=place.offset,
            trace=trace_of(dict(fact.extensions)) if isinstance(fact, Fact) else None,
        )

    def _trace(self) -> None:
        tracer = tracing.tracer()
        if tracer is None:
            return
        ended_ns = time.time_ns()
        for record, fact, outcome, code in self._ended:
            if (trace := trace_of(dict(fact.extensions))) is not None:
                tracer.span(
                    f"decide {fact.type}",
                    trace,
                    self._began_ns,
                    ended_ns,
                    stage=self._stage,
                    outcome=outcome,
                    code=code,
                    id=fact.id,
                    source=fact.source,
                    order_id=fact.order_id,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                )


def new_trail(stage: str) -> Trail | None:
    """A trail, where anything of it would be said."""
    level = our_log.level()
    every_record = level <= logging.DEBUG or tracing.tracer() is not None
    return (
        Trail(stage, every_record=every_record) if every_record or level <= logging.INFO else None
    )
