"""A version of the policy as people write it: whole, exact, and equal text for equal versions.

Nothing is inherited from another version and nothing has a default: who reads a version reads all of
it. Durations are a number and a unit (`10 d`), as RULES 4.9 writes them; a switch is `off` or one.
"""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from escrow.policy import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Policy, WrongPolicy
from schemas.order_events import rfc3339

_UNITS: Final = {"d": DAY_MS, "h": HOUR_MS, "min": MINUTE_MS, "s": SECOND_MS, "ms": 1}
_WRITTEN: Final = re.compile(r"([1-9][0-9]{0,9}) (d|h|min|s|ms)")
_METHOD: Final = re.compile(r"[a-z0-9_]{1,32}")
_LONGEST_MS: Final = 36_500 * DAY_MS


def _duration(said: Any) -> int:
    match = _WRITTEN.fullmatch(said) if isinstance(said, str) else None
    if match is None or (ms := int(match[1]) * _UNITS[match[2]]) > _LONGEST_MS:
        raise ValueError("write a number and a unit (ms, s, min, h, d), such as `10 d`")
    return ms


def _switch(said: Any) -> int | None:
    return None if said == "off" else _duration(said)


def _instant(said: Any) -> int:
    try:
        instant = datetime.fromisoformat(str(said))
    except ValueError:
        raise ValueError("write an instant with its offset, such as 2027-01-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError("an instant needs its offset, such as Z")
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND


def _methods(said: frozenset[str]) -> frozenset[str]:
    if not said or any(_METHOD.fullmatch(method) is None for method in said):
        raise ValueError("name methods in small letters, digits and _")
    return said


_MILLISECOND: Final = timedelta(milliseconds=1)
_Duration = Annotated[int, BeforeValidator(_duration)]
_Switch = Annotated[int | None, BeforeValidator(_switch)]
_Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class _Version(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
    effective_at: Annotated[int, BeforeValidator(_instant), Field(ge=0)]
    methods: Annotated[frozenset[str], AfterValidator(_methods)]
    mediation_after: _Duration
    park_limit: _Duration
    parked_per_order_max: _Count
    max_attempts: _Count
    gateway_patience: _Duration
    command_valid_for: _Duration
    auto_confirm_after: _Switch
    supplier_silence: _Switch


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    policies: Annotated[list[_Version], Field(min_length=1)]


def read_policies(text: str) -> list[Policy]:
    """The versions of a policy file, in its order. Raises WrongPolicy in plain words."""
    try:
        return [_policy(version) for version in _File.model_validate_json(text).policies]
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        lines = [f"{'.'.join(map(str, f['loc'])) or 'file'}: {_plain(f['msg'])}" for f in faults]
        raise WrongPolicy("\n".join(lines)) from None


def read_policy(text: str) -> Policy:
    """One version as `written` writes it."""
    return _policy(_Version.model_validate_json(text))


def written(policy: Policy) -> dict[str, Any]:
    """The version as it stands in a file."""
    return {
        "version": policy.version,
        "effective_at": rfc3339(policy.effective_at),
        "methods": sorted(policy.methods),
        "mediation_after": duration(policy.mediation_after_ms),
        "park_limit": duration(policy.park_limit_ms),
        "parked_per_order_max": policy.parked_per_order_max,
        "max_attempts": policy.max_attempts,
        "gateway_patience": duration(policy.gateway_patience_ms),
        "command_valid_for": duration(policy.command_valid_for_ms),
        "auto_confirm_after": duration(policy.auto_confirm_after_ms),
        "supplier_silence": duration(policy.supplier_silence_ms),
    }


def canonical(policy: Policy) -> str:
    """The one text of a version."""
    return json.dumps(written(policy), separators=(",", ":"))


def file_of(policies: Iterable[Policy]) -> str:
    """A policy file with these versions."""
    return json.dumps({"policies": [written(policy) for policy in policies]}, indent=2) + "\n"


def duration(ms: int | None) -> str:
    """In the largest unit that says it exactly; `off` for a switch that is off."""
    if ms is None:
        return "off"
    unit = next(unit for unit, size in _UNITS.items() if ms % size == 0)
    return f"{ms // _UNITS[unit]} {unit}"


def _policy(version: _Version) -> Policy:
    return Policy(
        version=version.version,
        methods=version.methods,
        mediation_after_ms=version.mediation_after,
        park_limit_ms=version.park_limit,
        parked_per_order_max=version.parked_per_order_max,
        max_attempts=version.max_attempts,
        gateway_patience_ms=version.gateway_patience,
        command_valid_for_ms=version.command_valid_for,
        effective_at=version.effective_at,
        auto_confirm_after_ms=version.auto_confirm_after,
        supplier_silence_ms=version.supplier_silence,
    )


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
