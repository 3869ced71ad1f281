"""Where rows change or leave, vacuum comes early: settings of tables, no lock that a stage would feel."""

from alembic import op

revision = "years_vacuum"
down_revision = "years_lineages"
branch_labels = None
depends_on = None

_EARLY = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500"


def upgrade() -> None:
    for table in ("parked", "deadlines", "silences", "total_deltas"):
        op.execute(f"ALTER TABLE {table} SET ({_EARLY})")
    for table in ("escrows", "commands"):
        op.execute(f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.05)")
    op.execute("ALTER TABLE shipments SET (fillfactor = 80)")


def downgrade() -> None:
    op.execute("ALTER TABLE shipments RESET (fillfactor)")
    for table in ("escrows", "commands"):
        op.execute(f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor)")
    for table in ("parked", "deadlines", "silences", "total_deltas"):
        op.execute(
            f"ALTER TABLE {table} RESET"
            " (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold)"
        )
