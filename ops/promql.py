"""What our alert rules ask, answered as Prometheus would: the part of its language that they use, no more.

What is not understood is an error when the rules are read, never an alarm that stays silent.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ops.sample_memory import Answer, Labels, Memory, increase

Ask = Callable[[Memory], Answer]
Matcher = Callable[[Mapping[str, str]], bool]

_TOKEN: Final = re.compile(
    r'\s*(?:(?P<text>"[^"]*")|(?P<span>\d+[smhd])\b|(?P<number>\d+(?:\.\d+)?)'
    r"|(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)|(?P<sign>!=|==|>=|<=|=~|!~|[><=(){}\[\],*]))"
)
_SPANS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": lambda one, other: one == other,
    "!=": lambda one, other: one != other,
    ">": lambda one, other: one > other,
    "<": lambda one, other: one < other,
    ">=": lambda one, other: one >= other,
    "<=": lambda one, other: one <= other,
}
_GROUP: Final[dict[str, Callable[[list[float]], float]]] = {"max": max, "min": min, "sum": sum}
_OVER_TIME: Final = ("rate", "increase", "delta")


class NotUnderstood(ValueError):
    """An expression uses what this part of the language does not have; the text shows where."""


class Query(NamedTuple):
    """An expression that can be asked, which metrics it needs, and how long a memory of some."""

    ask: Ask
    names: frozenset[str]
    spans: dict[str, float]  # metric → seconds


def seconds_of(span: str) -> float:
    """`5m` → 300. Raises NotUnderstood."""
    if not re.fullmatch(r"\d+[smhd]", span):
        raise NotUnderstood(f"{span}: not a duration")
    return int(span[:-1]) * _SPANS[span[-1]]


def parse(expression: str) -> Query:
    """Read an expression whole. Raises NotUnderstood."""
    return _Parser(expression).query()


class _Parser:
    """One function a level of the grammar; each returns what answers it."""

    def __init__(self, expression: str) -> None:
        self._tokens = list(_tokens(expression))
        self._at = 0
        self._names: set[str] = set()
        self._spans: dict[str, float] = {}

    def query(self) -> Query:
        ask = self._any_of()
        if self._at != len(self._tokens):
            raise NotUnderstood(f"beyond the end: {self._tokens[self._at]}")
        return Query(ask, frozenset(self._names), self._spans)

    def _any_of(self) -> Ask:
        ask = self._all_of()
        while self._took("or"):
            ask = _either(ask, self._all_of())
        return ask

    def _all_of(self) -> Ask:
        ask = self._compared()
        while self._took("and"):
            on = self._in_parentheses() if self._took("on") else None
            ask = _both(ask, self._compared(), on)
        return ask

    def _compared(self) -> Ask:
        ask = self._term()
        sign = self._peek()
        if sign not in _COMPARE:
            return ask
        self._at += 1
        limit = self._number()
        while self._took("*"):
            limit *= self._number()
        holds = _COMPARE[sign]
        return lambda memory: {
            labels: value for labels, value in ask(memory).items() if holds(value, limit)
        }

    def _term(self) -> Ask:
        if self._took("("):
            ask = self._any_of()
            self._must(")")
            return ask
        word = self._next()
        if word in _GROUP:
            by = self._in_parentheses() if self._took("by") else ()
            return _grouped(_GROUP[word], by, self._argument())
        if word == "absent":
            self._must("(")
            labels = self._selected(self._next())
            self._must(")")
            return lambda memory: {} if labels(memory) else {(): 1.0}
        if word in _OVER_TIME:
            return self._over_time(word)
        if word == "label_replace":
            return self._relabelled()
        return self._selected(word)

    def _argument(self) -> Ask:
        self._must("(")
        ask = self._any_of()
        self._must(")")
        return ask

    def _selected(self, name: str) -> Ask:
        fits = self._selector(name)
        return lambda memory: {
            labels: value for labels, value in memory.now(name) if fits(dict(labels))
        }

    def _selector(self, name: str) -> Matcher:
        if not re.fullmatch(r"[A-Za-z_:][\w:]*", name):
            raise NotUnderstood(f"{name}: not the name of a metric")
        self._names.add(name)
        matchers: list[Matcher] = []
        if self._took("{"):
            while not self._took("}"):
                matchers.append(self._matcher())
                self._took(",")
        return lambda labels: all(fits(labels) for fits in matchers)

    def _matcher(self) -> Matcher:
        label, sign, text = self._next(), self._next(), self._text()
        match sign:
            case "=":
                return lambda labels: labels.get(label, "") == text
            case "!=":
                return lambda labels: labels.get(label, "") != text
            case _:
                raise NotUnderstood(f"{label}{sign}: labels are compared with = and !=")

    def _over_time(self, function: str) -> Ask:
        self._must("(")
        name = self._next()
        fits = self._selector(name)
        self._must("[")
        span = seconds_of(self._next())
        self._must("]")
        self._must(")")
        self._spans[name] = max(span, self._spans.get(name, 0))

        def ask(memory: Memory) -> Answer:
            answer: Answer = {}
            for labels, points in memory.past(name, span):
                grown = increase(points, memory.at, span, counts=function != "delta")
                if grown is not None and fits(dict(labels)):
                    answer[labels] = grown / span if function == "rate" else grown
            return answer

        return ask

    def _relabelled(self) -> Ask:
        self._must("(")
        ask = self._any_of()
        texts = []
        while self._took(","):
            texts.append(self._text())
        self._must(")")
        if len(texts) != 4:
            raise NotUnderstood("label_replace takes four texts")
        target, template, source, pattern = texts
        template = re.sub(r"\$(\d+)", r"\\\1", template)

        def relabelled(labels: Labels) -> Labels:
            known = dict(labels)
            if (found := re.fullmatch(pattern, known.get(source, ""))) is not None:
                known[target] = found.expand(template)
            return tuple(sorted(known.items()))

        return lambda memory: {relabelled(labels): value for labels, value in ask(memory).items()}

    def _in_parentheses(self) -> tuple[str, ...]:
        self._must("(")
        names = []
        while not self._took(")"):
            names.append(self._next())
            self._took(",")
        return tuple(names)

    def _number(self) -> float:
        word = self._next()
        if not re.fullmatch(r"\d+(\.\d+)?", word):
            raise NotUnderstood(f"{word}: not a number")
        return float(word)

    def _text(self) -> str:
        word = self._next()
        if not word.startswith('"'):
            raise NotUnderstood(f"{word}: not a text")
        return word[1:-1]

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        word = self._peek()
        if not word:
            raise NotUnderstood("it ends too early")
        self._at += 1
        return word

    def _took(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _must(self, word: str) -> None:
        if not self._took(word):
            raise NotUnderstood(f"{self._peek() or 'the end'} where {word} was expected")


def _tokens(expression: str) -> Iterable[str]:
    at, text = 0, expression.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotUnderstood(f"not understood: {text[at:]}")
        yield found[0].strip()
        at = found.end()


def _either(ask: Ask, other: Ask) -> Ask:
    def both(memory: Memory) -> Answer:
        return {**other(memory), **ask(memory)}

    return both


def _both(ask: Ask, other: Ask, on: tuple[str, ...] | None) -> Ask:
    def key(labels: Labels) -> Labels:
        return labels if on is None else tuple(pair for pair in labels if pair[0] in on)

    def answer(memory: Memory) -> Answer:
        there = {key(labels) for labels in other(memory)}
        return {labels: value for labels, value in ask(memory).items() if key(labels) in there}

    return answer


def _grouped(fold: Callable[[list[float]], float], by: tuple[str, ...], ask: Ask) -> Ask:
    def answer(memory: Memory) -> Answer:
        groups: dict[Labels, list[float]] = {}
        for labels, value in ask(memory).items():
            key = tuple(pair for pair in labels if pair[0] in by)
            groups.setdefault(key, []).append(value)
        return {labels: fold(values) for labels, values in groups.items()}

    return answer
