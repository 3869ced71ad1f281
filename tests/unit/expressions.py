"""Which metrics an expression of Prometheus asks for."""

import re
from typing import Final

# What is in quotes, in braces (matchers), after `by`, `on` and `group_left`, and numbers are no metrics.
_OTHER: Final = re.compile(
    r'"[^"]*"|\{[^}]*\}|\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)|\b[0-9.]+[a-z]*\b'
)
_FUNCTIONS: Final = {"and", "or", "unless", "bool", "offset"}


def metrics_in(expression: str) -> set[str]:
    """Names of families: what a histogram is scraped as counts as the histogram."""
    bare = _OTHER.sub(" ", expression)
    names = set(re.findall(r"\b[a-z_:][a-z0-9_:]*\b(?!\s*\()", bare)) - _FUNCTIONS
    return {
        re.sub(r"_(bucket|sum|count)$", "", name) if _is_histogram(name) else name for name in names
    }


def _is_histogram(name: str) -> bool:
    return name.startswith("escrow_batch_") and not name.endswith("_total")
