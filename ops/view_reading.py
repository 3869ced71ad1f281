"""The derived views as they stand on their topic, with how old they are: late or missing, they say so.

Nothing is decided by them; a view that nobody writes any more is stale, never wrong money.
"""

import json
from typing import Any, Final, NamedTuple

from consumers.engine.config import Settings
from consumers.engine.places import latest_by_key
from schemas.topics import VIEWS

STALE_SECONDS: Final = 15.0  # written every 2 s while their process works
_RISK: Final = "supplier_risk/"


class SuppliersRisk(NamedTuple):
    """One supplier's last 30 days; rates in basis points, None without settled orders."""

    supplier_id: str
    orders_settled: int
    orders_refunded: int
    refund_rate_bp: int | None
    rulings_against: int
    charged_back: int
    reporters: int
    flags: list[str]


class StandingViews(NamedTuple):
    """What stands on the topic. `age_seconds` None: never written."""

    age_seconds: float | None
    flow: dict[str, Any]
    suppliers: list[SuppliersRisk]  # flagged ones first, then by refund rate

    @property
    def is_stale(self) -> bool:
        """True where they are down, or not caught up: what they show may be old."""
        return self.age_seconds is None or self.age_seconds > STALE_SECONDS


def read_views(settings: Settings, wall_ms: int) -> StandingViews:
    """All views, as of now. Raises KafkaUnavailable."""
    latest = latest_by_key(settings, VIEWS)
    status = latest.get(b"status")
    age = None if status is None else max(wall_ms - status.timestamp_ms, 0) / 1000
    data = {key.decode("utf-8", "replace"): _data(row.value) for key, row in latest.items()}
    risks = [_risk(key, body) for key, body in data.items() if key.startswith(_RISK)]
    risks.sort(key=lambda r: (not r.flags, -(r.refund_rate_bp or 0), r.supplier_id))
    return StandingViews(age, data.get("flow", {}), risks)


def _risk(key: str, body: dict[str, Any]) -> SuppliersRisk:
    def count(name: str) -> int:
        return body.get(name) or 0

    return SuppliersRisk(
        key.removeprefix(_RISK),
        count("orders_settled"),
        count("orders_refunded"),
        body.get("refund_rate_bp"),
        count("rulings_against"),
        count("charged_back"),
        count("reporters"),
        list(body.get("flags") or ()),
    )


def _data(value: bytes | None) -> dict[str, Any]:
    try:
        data = json.loads(value or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
