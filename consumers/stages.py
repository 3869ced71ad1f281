"""All stages, by name: what `escrow consume` can start."""

from typing import Final

from consumers import (
    deadlines,
    gateway_results,
    mediation_rulings,
    operator_actions,
    payments,
    refund_requests,
    shipments,
    supplier_reports,
)
from consumers.engine.stage import Stage

STAGES: Final[dict[str, Stage]] = {
    module.STAGE.name: module.STAGE
    for module in (
        payments,
        shipments,
        refund_requests,
        mediation_rulings,
        gateway_results,
        operator_actions,
        deadlines,
        supplier_reports,
    )
}
