"""A buyer reports a supplier who asked for payment outside escrow (P9); concerns no order."""

from schemas.words import Id, Note, Text, WireModel


class SupplierReported(WireModel):
    """A supplier asked for payment outside escrow; keyed by `supplier_id`."""

    report_id: Id
    supplier_id: Id
    buyer_id: Id
    product_id: Id
    asked_for: Text
    note: Note | None = None
