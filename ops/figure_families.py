"""Money, orders and what waits, as Prometheus reads them.

Every label value that alerts compare with is always there, so that nothing is unknown where it is 0.
"""

from collections.abc import Iterator, Mapping
from typing import Final, get_args

from prometheus_client.metrics_core import Metric as Family

from consumers.engine.metrics import Sample, family
from schemas.commands import Kind
from schemas.instructions import Scope
from schemas.reasons import DEAD_LETTERS, PARKED
from storage.figures import Figures, Group

SCOPES: Final[tuple[str, ...]] = get_args(Scope)
KINDS: Final[tuple[str, ...]] = get_args(Kind)
COMMAND_STATES: Final = ("PENDING", "ACCEPTED", "SETTLED", "FAILED", "RETURNED")


def figure_families(figures: Figures, now: int) -> Iterator[Family]:
    """All families of rows; `now` is the rules' clock when they were read, ms UTC."""
    yield from _money(figures)
    yield from _commands(figures, now)
    yield family("escrow_outbox_pending", [((), figures.unsent.number)])
    yield family("escrow_outbox_oldest_age_seconds", [((), _age_seconds(figures.unsent, now))])
    letters = _numbers(figures.dead_letters, tuple(DEAD_LETTERS))
    yield family("escrow_dead_letters", letters)
    yield family("escrow_parked", _numbers(figures.parked, tuple(PARKED)))
    yield family("escrow_parked_oldest_age_seconds", _ages(figures.parked, tuple(PARKED), now))
    yield family("escrow_deadlines_overdue", [((), figures.overdue)])


def _money(figures: Figures) -> Iterator[Family]:
    money = sorted(figures.money.items())
    yield family("escrow_held_amount_minor", [((c,), m.held) for c, m in money])
    yield family("escrow_money_imbalance_minor", [((c,), m.imbalance) for c, m in money])
    yield family("escrow_supplier_debt_minor", [((c,), m.debt) for c, m in money])
    yield family("escrow_platform_loss_minor", [((c,), m.loss) for c, m in money])
    yield family("escrow_orders", [((s,), n) for s, n in sorted(figures.orders.items())])


def _commands(figures: Figures, now: int) -> Iterator[Family]:
    states: list[Sample] = [
        ((kind, state), figures.commands.get((kind, state), 0))
        for kind in KINDS
        for state in COMMAND_STATES
    ]
    yield family("escrow_commands", states)
    yield family("escrow_commands_open_amount_minor", sorted(figures.open_minor.items()))
    unresolved: list[Sample] = [((kind,), figures.unresolved.get(kind, 0)) for kind in KINDS]
    yield family("escrow_commands_unresolved", unresolved)
    yield family("escrow_commands_held", [((), figures.held_back)])
    paused = {pause.scope for pause in figures.paused}
    yield family("escrow_sending_paused", [((scope,), int(scope in paused)) for scope in SCOPES])
    yield family("escrow_command_silent_age_seconds", _ages(figures.silent, KINDS, now))


def _numbers(groups: Mapping[str, Group], names: tuple[str, ...]) -> list[Sample]:
    known = dict.fromkeys(names, 0) | {name: group.number for name, group in groups.items()}
    return [((name,), number) for name, number in sorted(known.items())]


def _ages(groups: Mapping[str, Group], names: tuple[str, ...], now: int) -> list[Sample]:
    known = dict.fromkeys(names, Group(0, None)) | dict(groups)
    return [((name,), _age_seconds(group, now)) for name, group in sorted(known.items())]


def _age_seconds(group: Group, now: int) -> float:
    return 0.0 if group.oldest_at is None else max(now - group.oldest_at, 0) / 1000
