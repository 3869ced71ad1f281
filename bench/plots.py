"""The figures as pictures: `python -m bench.plots BENCH.json FLAT.json docs/plots` writes SVG files.

Nothing is drawn that is not in the two files.
"""

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 320, 70, 45, 34
_COLOURS: Final = ("#1f6f8b", "#c8553d", "#588157", "#7d5ba6")
_SVG: Final = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    ' font-family="sans-serif" font-size="12">'
)
_Line = Sequence[tuple[float, float]]


def plot(title: str, lines: Mapping[str, _Line], x_name: str, y_name: str) -> str:
    """Lines over a logarithmic x; y from zero. Every point is marked and says its value."""
    xs = sorted({x for line in lines.values() for x, _ in line})
    top = 1.1 * max(y for line in lines.values() for _, y in line)
    low, high = math.log10(xs[0]), math.log10(xs[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - low) / (high - low or 1)
        plot_height = _HEIGHT - _BOTTOM - _TOP
        return (
            _LEFT + across * (_WIDTH - _LEFT - 120),
            _HEIGHT - _BOTTOM - y / top * plot_height,
        )

    parts = [
        _SVG,
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 20, title, "start", ' font-weight="bold"'),
        _text((_WIDTH - 120 + _LEFT) / 2, _HEIGHT - 8, x_name),
        _text(_LEFT, _TOP, y_name, "end"),
    ]
    parts += [_text(place(x, 0)[0], _HEIGHT - _BOTTOM + 16, f"{x:,.0f}") for x in xs]
    for y in (0, top / 2, top):
        parts += [
            _rule(place(xs[0], y)[1]),
            _text(_LEFT - 8, place(xs[0], y)[1] + 4, _short(y), "end"),
        ]
    for (name, line), colour in zip(lines.items(), _COLOURS, strict=False):
        places = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for (x, y), (_, value) in zip(places, line, strict=True):
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
            parts.append(_text(x, y - 8, _short(value)))
        x, y = places[-1]
        parts.append(_text(x + 12, y + 4, name, "start", f' fill="{colour}"'))
    return "\n".join([*parts, "</svg>\n"])


def _text(x: float, y: float, text: str, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{text}</text>'


def _rule(y: float) -> str:
    return f'<path d="M{_LEFT} {y:.1f} H{_WIDTH - 120}" stroke="#ddd"/>'


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def flatness(flat: Sequence[Mapping[str, Any]]) -> str:
    """Facts a second against the settled orders in the tables."""
    rates = [(row["settled_orders"], statistics.median(row["rates"])) for row in flat]
    return plot("Rate and table size", {"facts/s": rates}, "settled orders in the tables", "")


def cost(flat: Sequence[Mapping[str, Any]]) -> str:
    """CPU a fact of the database and of all together against the settled orders."""
    whole = [(row["settled_orders"], sum(row["cpu_us"].values())) for row in flat]
    postgres = [(row["settled_orders"], row["cpu_us"]["postgres"]) for row in flat]
    lines = {"all processes": whole, "PostgreSQL": postgres}
    return plot("CPU and table size", lines, "settled orders in the tables", "µs a fact")


def percentiles(latencies: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """Milliseconds from fact to command against the rate, medians of the rounds."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for of_rate in zip(*latencies, strict=True):
        for percent in ("50.0", "90.0", "99.0"):
            ms = statistics.median(latency["ms"][percent] for latency in of_rate)
            lines.setdefault(f"p{float(percent):g}", []).append((of_rate[0]["per_second"], ms))
    return plot("From fact to command", lines, "facts a second", "ms")


def main(bench: Path, flat: Path, folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    figures, sizes = json.loads(bench.read_text()), json.loads(flat.read_text())
    for name, drawn in (
        ("latency.svg", percentiles(figures["latencies"])),
        ("rate-and-table-size.svg", flatness(sizes)),
        ("cpu-and-table-size.svg", cost(sizes)),
    ):
        (folder / name).write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:4]))
