"""What guards the money beyond the rules: who must sign, and how much is sent without a person.

Off by default, and complete where it is on.
"""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from consumers.engine.connections import Section
from schemas.facts import STAGE_TOPICS
from schemas.money import AmountMinor, Currency

# Whose word moves money, and comes from outside: a source alone is only a claim.
SIGNED_STAGES: Final = (
    "refund_requests",
    "mediation_rulings",
    "gateway_results",
    "operator_actions",
)
StageName = Annotated[str, Field(pattern=f"^({'|'.join(STAGE_TOPICS)})$")]


class SigningSettings(Section):
    """Signatures: whose are believed, where they are asked for, and what this process signs with."""

    keys_file: Path | None = None  # JWKS of all who may sign; without it nobody is asked to
    required: tuple[StageName, ...] = SIGNED_STAGES  # whose facts must be signed, as JSON
    private_key_file: Path | None = None  # JWK; what this process sends is signed with it
    # Minor units by currency, as JSON; a ruling over more needs two mediators.
    ruling_limits: dict[Currency, AmountMinor] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in ("keys_file", "private_key_file"):
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: no such file")
        if self.ruling_limits and self.keys_file is None:
            raise ValueError("ruling_limits: a limit needs keys_file")
        return self

    @property
    def unasked(self) -> list[str]:
        """Stages that take the unsigned word of strangers about money."""
        if self.keys_file is None:
            return list(SIGNED_STAGES)
        return [stage for stage in SIGNED_STAGES if stage not in self.required]


class SendingSettings(Section):
    """How a person can stop commands, and how much goes out without one. Amounts in minor units."""

    # Operators may pause and hold by facts on their topic; off, those types are unknown (RULES 2).
    operator_controls: bool = False
    # Each by currency, as JSON; a currency without a cap has none.
    command_max: dict[Currency, AmountMinor] = Field(default_factory=dict)  # a larger one is held
    supplier_hour_max: dict[Currency, AmountMinor] = Field(default_factory=dict)  # of payouts
    hour_max: dict[Currency, AmountMinor] = Field(default_factory=dict)  # beyond it all is paused

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.has_caps and not self.operator_controls:
            raise ValueError("caps hold commands for a person: set operator_controls as well")
        return self

    @property
    def has_caps(self) -> bool:
        return bool(self.command_max or self.supplier_hour_max or self.hour_max)
