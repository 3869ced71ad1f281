"""One thread, one clock, one stream of chance: whoever goes on next is drawn here, and nowhere else.

Actors are greenlets that run the product's own loops; they come back here at every statement, poll and
wait. Time moves a little with every step, and jumps when all wait.
"""

import random
from collections.abc import Callable
from typing import Any, Final

from greenlet import GreenletExit, getcurrent, greenlet

STEP_SECONDS: Final = 0.0005
STEPS_MAX: Final = 30_000  # a schedule that needs more does not come to rest
IDLE_SECONDS: Final = 1.0  # one who finds nothing to do may come back so late, or when called


class Killed(GreenletExit):
    """The actor's process has died; its `finally` blocks run, and nothing that they do counts."""


class Stuck(Exception):
    """Nobody can go on, or they never come to rest."""


class Actor:
    """One process of the product: a greenlet, and why it does not run just now."""

    def __init__(self, name: str, kind: str, body: Callable[["Actor"], None]) -> None:
        self.name, self.kind = name, kind
        self.body = body
        self.green: Any = None
        self.stop = Stop(self)
        self.dead = False
        self.ended = False  # by itself
        self.error: Exception | None = None
        self.due: float | None = None  # sleeps until then
        self.called: set[str] = set()  # names whose call ends the sleep
        self.frozen_until: float | None = None
        self.sessions: list[Any] = []  # open database sessions
        self.consumers: list[Any] = []
        self.scheduler: Scheduler = None  # type: ignore[assignment]

    @property
    def alive(self) -> bool:
        return not (self.dead or self.ended)


class Stop:
    """What the product takes for a threading.Event: the wish that an actor leaves."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._set = False

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._actor.scheduler.call(self._actor.name)

    def wait(self, timeout: float) -> bool:
        if not self._set:
            self._actor.scheduler.idle(timeout, {self._actor.name, self._actor.kind})
        return self._set


class Scheduler:
    """Runs actors and tasks until `at_rest` says so."""

    def __init__(self, seed: int, sticky: float) -> None:
        self.rng = random.Random(seed)
        self.random = self.rng.random
        self.now = 1_000.0
        self.steps = 0
        self.sticky = sticky
        self.actors: list[Actor] = []
        self.ready: list[
            Any
        ] = []  # actors, and tasks: callables that return True while there is more
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.current: Actor | None = None
        self.at_rest: Callable[[], bool] = lambda: True
        self.on_end: Callable[[Actor], None] = lambda _actor: None
        self.on_step: Callable[[], None] | None = None
        self.next_event = STEPS_MAX  # at which step `on_step` is to be called
        self.finished = False
        self.stuck: str | None = None
        self.hub: Any = None
        self._timers = 0

    def spawn(self, actor: Actor) -> Actor:
        actor.scheduler = self
        actor.green = greenlet(lambda: self._body(actor))
        self.actors.append(actor)
        self.ready.append(actor)
        return actor

    def _body(self, actor: Actor) -> None:
        try:
            actor.body(actor)
        except Killed:
            return
        except Exception as error:  # noqa: BLE001 -- judged at the end
            actor.error = error
        if not actor.dead:
            actor.ended = True
            self._unready(actor)
            self.on_end(actor)

    def run(self) -> None:
        """Until all is at rest. Raises Stuck."""
        self.hub = getcurrent()
        while not self.finished:
            actor = self._next()
            if actor is not None:
                self._switch(actor)
        if self.stuck is not None:
            raise Stuck(self.stuck)

    def _give_up(self, why: str) -> None:
        self.finished, self.stuck = True, why

    def _switch(self, actor: Actor) -> None:
        self.current = actor
        green = actor.green
        green.parent = self.hub
        green.switch()

    def pause(self) -> None:
        """Between two things an actor does: somebody else may go on."""
        me = self.current
        if me is None or me.dead:
            if getcurrent() is self.hub:
                return
            raise Killed
        self.steps += 1
        self.now += STEP_SECONDS
        if self.steps >= self.next_event and self.on_step is not None:
            self.on_step()
            if me.dead:
                raise Killed
        elif me.frozen_until is None and self.random() < self.sticky:
            return
        self._leave(me)

    def _leave(self, me: Actor) -> None:
        """Let others go on until it is this actor's turn again."""
        actor = self._next()
        if actor is not me:
            if actor is None:
                self.hub.switch()
            else:
                self._switch(actor)
            if me.dead:
                raise Killed
        self.current = me

    def _next(self) -> Actor | None:
        """Who goes on; tasks are done on the way. None: all is finished."""
        ready = self.ready
        while not self.finished:
            if self.timers and self.timers[0][0] <= self.now:
                self._fire()
                continue
            count = len(ready)
            if not count:
                self._jump()
                continue
            self.steps += 1
            if self.steps > STEPS_MAX:
                self._give_up(f"no rest after {STEPS_MAX} steps")
                return None
            chosen = ready[int(self.random() * count)] if count > 1 else ready[0]
            if type(chosen) is Actor:
                return chosen
            if not chosen():
                ready.remove(chosen)
        return None

    def _fire(self) -> None:
        _, _, timer = self.timers.pop(0)
        timer()

    def _jump(self) -> None:
        """All wait: go to the next moment at which somebody does not."""
        if self.steps < STEPS_MAX and self.on_step is not None and self.next_event < STEPS_MAX:
            self.next_event = self.steps  # what was to come comes now
            self.on_step()
            return
        if self.at_rest():
            self.finished = True
            return
        self.steps += 1
        if self.steps > STEPS_MAX:
            self._give_up(f"no rest after {STEPS_MAX} steps")
            return
        sleepers = [a for a in self.actors if a.due is not None and a.frozen_until is None]
        first = min(sleepers, key=_due, default=None)
        if self.timers and (first is None or self.timers[0][0] <= _due(first)):
            self.now = max(self.now, self.timers[0][0])
            return
        if first is None:
            self._give_up("nobody can go on")
            return
        self.now = max(self.now, _due(first))
        self._wake(first)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self._timers += 1
        self.timers.append((when, self._timers, what))
        self.timers.sort(key=lambda timer: timer[:2])

    def sleep(self, seconds: float) -> None:
        self._sleep(seconds, set())

    def idle(self, seconds: float, names: set[str]) -> None:
        """Wait for one of these names to be called; for so long, or longer where that is short."""
        self._sleep(max(IDLE_SECONDS, seconds), names)

    def _sleep(self, seconds: float, names: set[str]) -> None:
        me = self.current
        if me is None or me.dead:
            if getcurrent() is self.hub:
                return
            raise Killed
        me.due = self.now + seconds
        me.called = names
        self._unready(me)
        self._leave(me)

    def call(self, name: str) -> None:
        """Wake those who wait for this."""
        for actor in self.actors:
            if actor.due is not None and name in actor.called:
                self._wake(actor)

    def wake(self, actor: Actor) -> None:
        if actor.due is not None:
            self._wake(actor)

    def _wake(self, actor: Actor) -> None:
        actor.due = None
        if actor.frozen_until is None and actor.alive:
            self.ready.append(actor)

    def _unready(self, actor: Actor) -> None:
        if actor in self.ready:
            self.ready.remove(actor)

    def freeze(self, actor: Actor, seconds: float) -> None:
        """As SIGSTOP would, and SIGCONT later."""
        if not actor.alive or actor.frozen_until is not None:
            return
        actor.frozen_until = self.now + seconds
        self._unready(actor)
        self.at(actor.frozen_until, lambda: self.thaw(actor))

    def thaw(self, actor: Actor) -> None:
        if actor.frozen_until is not None:
            actor.frozen_until = None
            if actor.due is None and actor.alive:
                self.ready.append(actor)

    def kill(self, actor: Actor) -> None:
        """As SIGKILL would; of the current actor, the next pause raises."""
        if not actor.alive:
            return
        actor.dead = True
        actor.due = None
        self._unready(actor)
        if actor is not self.current and actor.green:
            me = self.current
            actor.green.parent = getcurrent()
            self.current = actor
            actor.green.throw(Killed)
            self.current = me

    def kill_all(self) -> None:
        """The schedule is over; nothing is left behind."""
        self.current = None
        for actor in self.actors:
            actor.dead = True
            if actor.green:
                actor.green.parent = getcurrent()
                actor.green.throw(Killed)
            actor.green = None


def _due(actor: Actor) -> float:
    return actor.due if actor.due is not None else float("inf")
