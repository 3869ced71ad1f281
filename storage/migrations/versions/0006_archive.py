"""Facts of settled orders may leave for files: which file, which decisions, and the one way out."""

import sqlalchemy as sa
from alembic import op

revision = "archive_facts"
down_revision = "0002_signing"
branch_labels = None
depends_on = None

# The guard lets through what this function deletes. Only the owner could set the mark by hand to any
# effect, since nobody else may delete; and the owner could turn the guard off as well.
_GUARD = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'facts' AND TG_OP = 'DELETE'
    AND current_setting('escrow.letting_go', true) = 'on' THEN RETURN NULL; END IF;
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END $$
"""
_GUARD_BEFORE = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""
# Only of settled orders, which nothing unsettles. What waits is read by stages, and words can be
# forgotten: neither ever leaves.
_LET_GO = """
CREATE FUNCTION let_facts_go(given_no bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE gone bigint;
BEGIN
  PERFORM set_config('escrow.letting_go', 'on', true);
  DELETE FROM facts f USING archived_orders a
  WHERE a.archive_no = given_no AND f.order_id = a.order_id
    AND f.decision_no BETWEEN a.from_no AND a.until_no AND f.text_digest IS NULL
    AND EXISTS (SELECT FROM escrows e WHERE e.order_id = f.order_id
      AND e.status IN ('RELEASED', 'REFUNDED', 'SPLIT', 'CHARGED_BACK'))
    AND NOT EXISTS (
      SELECT FROM parked p WHERE p.order_id = f.order_id AND p.decision_no = f.decision_no);
  GET DIAGNOSTICS gone = ROW_COUNT;
  PERFORM set_config('escrow.letting_go', '', true);
  RETURN gone;
END $$
"""


def _at() -> sa.Column[object]:
    return sa.Column(
        "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "archives",
        sa.Column("archive_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("t_min", sa.BigInteger(), nullable=False),
        sa.Column("t_max", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _at(),
        sa.PrimaryKeyConstraint("archive_no", name=op.f("pk_archives")),
    )
    op.create_table(
        "archived_orders",
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("from_no", sa.Integer(), nullable=False),
        sa.Column("until_no", sa.Integer(), nullable=False),
        sa.Column("archive_no", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "from_no BETWEEN 1 AND until_no", name=op.f("ck_archived_orders_a_run_of_decisions")
        ),
        sa.PrimaryKeyConstraint("order_id", "from_no", name=op.f("pk_archived_orders")),
    )
    op.create_index("ix_archived_orders_archive_no", "archived_orders", ["archive_no"])
    op.create_table(
        "archived_counts",
        sa.Column("count_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("archive_no", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("count_no", name=op.f("pk_archived_counts")),
    )
    op.create_table(
        "restorals",
        sa.Column("restoral_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("order_id", sa.Text(collation="C"), nullable=False),
        sa.Column("archive_no", sa.BigInteger(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        _at(),
        sa.PrimaryKeyConstraint("restoral_no", name=op.f("pk_restorals")),
    )
    for table in ("archived_counts", "restorals"):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute("ALTER TABLE facts SET (autovacuum_vacuum_scale_factor = 0.05)")
    op.execute(_GUARD)
    op.execute(_LET_GO)
    op.execute("REVOKE ALL ON FUNCTION let_facts_go(bigint) FROM PUBLIC")


def downgrade() -> None:
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM archived_orders) THEN"
        " RAISE EXCEPTION 'facts are in files: restore them first'; END IF; END $$"
    )
    op.execute("DROP FUNCTION let_facts_go(bigint)")
    op.execute(_GUARD_BEFORE)
    op.execute("ALTER TABLE facts RESET (autovacuum_vacuum_scale_factor)")
    op.drop_table("restorals")
    op.drop_table("archived_counts")
    op.drop_table("archived_orders")
    op.drop_table("archives")
