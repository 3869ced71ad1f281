"""What the simulation's servers answer is what real ones answer: one script, two worlds, one history."""

from collections.abc import Callable

from psycopg import OperationalError

from consumers.engine.admin import apply_topics
from consumers.engine.config import Settings
from consumers.engine.worker import Rejoin
from schemas.facts import STAGE_TOPICS
from tests.integration.two_worlds import History, World, bases_of, real, simulated
from tests.simulation import stories
from tests.simulation.gateway import result
from tests.simulation.stories import Sent

Step = Callable[[World], None]
PLACES_TO_DIE = (
    "worker.epoch_taken", "worker.deciding", "batch.fenced", "batch.orders_written",
    "batch.committing", "batch.committed",
)  # fmt: skip

SCENES = ("paid_twice", "withdrawn", "never_arrived", "reissued", "lost_twice")


class Died(BaseException):
    """The process is gone; nothing of it catches this."""


def die() -> None:
    raise Died


def facts(scene: str, slot: int) -> list[Sent]:
    """The story of a slot by the name of its scene."""
    names = [made.__name__ for made in stories.SCENES]
    return list(stories.story(slot, names.index(scene)))


def feed(sent: list[Sent], marked: set[int]) -> Step:
    def step(world: World) -> None:
        for number, each in enumerate(sent):
            world.feed(each, marker=number in marked)

    return step


def work(*stages: str) -> Step:
    def step(world: World) -> None:
        for stage in stages:
            world.work(stage)

    return step


def dies(stage: str, place: str) -> Step:
    """The worker dies there; its successor does the rest."""

    def step(world: World) -> None:
        member = world.member(stage)
        world.at_place[place] = die
        try:
            world.work(stage, member)
        except Died:
            member.leave()
        else:
            raise AssertionError(f"nobody passed {place}")
        world.work(stage)

    return step


def zombie(stage: str) -> Step:
    """Frozen with records in hand; wakes when its successor has read them."""

    def step(world: World) -> None:
        member = world.member(stage)
        world.at_place["worker.deciding"] = lambda: world.work(stage)
        try:
            world.work(stage, member)
        except Rejoin:
            member.leave()
        else:
            raise AssertionError("a stale worker went on")

    return step


def hears_nothing(stage: str) -> Step:
    """The reply to COMMIT is lost; whether it happened is looked up."""

    def lose() -> None:
        raise OperationalError("connection lost")

    def step(world: World) -> None:
        world.at_place["batch.committed"] = lose
        world.work(stage)

    return step


def relay_all(world: World) -> None:
    relay = world.relay()
    relay.take()
    while relay.step():
        pass


def relay_dies(world: World) -> None:
    """After the ack and before the mark: all of it is sent again."""
    relay = world.relay()
    relay.take()
    world.at_place["relay.sent"] = die
    try:
        relay.step()
    except Died:
        relay_all(world)
    else:
        raise AssertionError("nothing was sent")


def stale_relay(world: World) -> None:
    """One has read, another takes over: the first one's mark counts for nothing."""
    old, new = world.relay(), world.relay()
    old.take()
    rows = old.read()
    assert rows
    new.take()
    assert old.mark(old.send(rows)) == 0
    assert old.epochs == {}
    relay_all(world)


def tick(world: World) -> None:
    ticker = world.ticker()
    while ticker.step():
        pass
    ticker.close()


def answered(world: World) -> None:
    """The gateway has settled all that was ordered."""
    for row in sorted(world.table("commands"), key=lambda row: str(row["command_id"])):
        sent = result(
            row["order_id"], row["command_id"], row["amount_minor"], row["currency"],
            "gateway.settled", 1, row["asked_at"], retryable=False,
        )  # fmt: skip
        world.feed(sent, marker=False)


def script() -> list[tuple[str, Step]]:
    happy, early = facts("happy", 1), facts("early", 2)
    negotiated, waiting = facts("negotiated", 3), facts("waits_for_mediation", 4)
    late = facts("parked_too_long", 1)
    spoilt = [stories.garbage(happy[0], 1), stories.conflicting(negotiated[1]), stories.report(1)]
    steps: list[tuple[str, Step]] = [
        ("facts come", feed([*early, *negotiated, *happy], {1, 4, 5})),
        ("reading before the payment", work("refund_requests", "shipments")),
        *((f"payments dies at {place}", dies("payments", place)) for place in PLACES_TO_DIE[:1]),
        ("more facts come", feed([*waiting[:2], *happy[:2], *spoilt], {0})),
        ("a zombie", zombie("payments")),
        ("the rest is read", work("shipments", "refund_requests", "supplier_reports")),
        ("the relay dies", relay_dies),
        ("the gateway answers", answered),
        ("nobody hears of the commit", hears_nothing("gateway_results")),
        ("time passes", feed([*waiting[2:], *late], {2})),
        ("late facts are read", work("shipments", "payments", "refund_requests")),
        ("a stale relay", stale_relay),
    ]
    for place, scene in zip(PLACES_TO_DIE[1:], SCENES, strict=True):
        more = feed(facts(scene, 2), {1})
        steps += [(f"for {place}", more), (f"payments dies at {place}", dies("payments", place))]
    return [
        *steps,
        ("all is read", work(*STAGE_TOPICS)),
        ("ticks", tick),
        ("ticks are read", work("deadlines")),
        ("all is told", relay_all),
    ]


def told(world: World, bases: dict[tuple[str, int], int]) -> list[tuple[str, History]]:
    histories = []
    for name, step in script():
        step(world)
        histories.append((name, world.history(bases)))
    return histories


def test_one_script_has_one_history_on_fakes_and_on_real_servers(settings: Settings) -> None:
    apply_topics(settings)
    bases = bases_of(settings)
    with simulated(bases) as world:
        imagined = told(world, bases)
    with real(settings, bases) as true_world:
        for (name, step), (_, expected) in zip(script(), imagined, strict=True):
            step(true_world)
            found = true_world.history(bases)
            for part, rows in expected.items():
                assert found[part] == rows, f"after '{name}': {part}"
    assert len(imagined[-1][1]["facts"]) > 20
    assert imagined[-1][1]["outbox"]
