"""Each kind of corruption, done behind everyone's back, is found by the check that exists for it."""

from collections.abc import Iterator
from typing import Final
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text

from consumers.engine.config import Settings
from ops.audit import run_audit
from ops.findings import CHECKS, OPTIONAL, Check
from tests.builders import T0
from tests.integration.filled import Filler, corrupt
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world
from tests.servers import Servers

# What is done, how, and the checks that must find it (others may find it too).
CORRUPTIONS: Final[dict[str, tuple[str, set[Check]]]] = {
    "money_invented_on_a_row": (
        f"UPDATE escrows SET held_minor = 2000, captured_minor = 2000 WHERE order_id = '{HELD}'",
        {"money", "rows", "totals"},
    ),
    "money_moved_from_buyer_to_supplier": (
        f"UPDATE escrows SET refunded_minor = 200, paid_out_minor = 800 WHERE order_id = '{SPLIT}'",
        {"money", "settlement", "rows", "totals"},
    ),
    "a_row_and_its_postings_changed_together": (
        f"""UPDATE escrows SET held_minor = 900, captured_minor = 900 WHERE order_id = '{HELD}';
        UPDATE postings SET amount_minor = 900 WHERE order_id = '{HELD}'""",
        {"rows", "totals"},
    ),
    "a_posting_gone": (
        f"DELETE FROM postings WHERE order_id = '{SPLIT}' AND n = 0 AND decision_no > 1",
        {"money", "rows"},
    ),
    "a_posting_in_a_currency_of_its_own": (
        f"INSERT INTO postings VALUES ('{SPLIT}', 1, 7, 'held', 'platform_loss', 5, 'USD')",
        {"rows"},
    ),
    "a_payload_changed": (
        f"""UPDATE facts SET payload = replace(payload, '300', '400')
        WHERE order_id = '{SPLIT}' AND type = 'refund.requested'""",
        {"chain", "rows", "identities"},
    ),
    "a_payload_that_no_schema_takes": (
        f"UPDATE facts SET payload = '{{}}' WHERE order_id = '{HELD}' AND decision_no = 1",
        {"history", "identities"},
    ),
    "an_outcome_changed": (
        f"""UPDATE facts SET outcome = 'applied', code = NULL
        WHERE order_id = '{RELEASED}' AND outcome = 'refused'""",
        {"chain", "decisions", "batches"},
    ),
    "a_sender_changed": (
        f"UPDATE facts SET source = '/evil' WHERE order_id = '{SPLIT}' AND decision_no = 3",
        {"chain", "identities"},
    ),
    "a_fact_gone": (
        f"DELETE FROM facts WHERE order_id = '{HELD}' AND decision_no = 3",
        {"history", "chain", "identities", "batches"},
    ),
    "a_fact_recorded_out_of_order": (
        f"UPDATE facts SET seq = seq + 1000 WHERE order_id = '{HELD}' AND decision_no = 1",
        {"history"},
    ),
    "a_resolution_of_nothing": (
        f"INSERT INTO resolutions VALUES ('{HELD}', 9, 8, 'refused', 'frozen')",
        {"history", "decisions"},
    ),
    "the_head_of_a_chain_changed": (
        f"UPDATE escrows SET chain_head = '\\x00' WHERE order_id = '{PARKED}'",
        {"chain", "rows"},
    ),
    "a_note_changed": (
        f"UPDATE fact_texts SET text = 'fine' WHERE order_id = '{HELD}'",
        {"history"},
    ),
    "a_second_settlement": (
        f"""DROP INDEX uq_commands_settlement;
        CREATE TEMP TABLE again ON COMMIT DROP AS
          SELECT * FROM commands WHERE order_id = '{RELEASED}';
        UPDATE again SET command_id = 'c-2', n = 1, state = 'PENDING';
        INSERT INTO commands SELECT * FROM again""",
        {"settlement", "rows", "commands_sent"},
    ),
    "a_payee_changed": (
        f"UPDATE commands SET party_id = 'thief' WHERE order_id = '{SPLIT}'",
        {"rows", "commands_sent"},
    ),
    "a_command_settled_on_paper": (
        f"UPDATE commands SET state = 'SETTLED' WHERE order_id = '{SPLIT}'",
        {"gateway", "rows"},
    ),
    "a_settled_command_made_to_be_sent_again": (
        f"""UPDATE commands SET state = 'PENDING', attempt = 2, failures = 1
        WHERE order_id = '{RELEASED}'""",
        {"gateway", "rows"},
    ),
    "a_payout_slipped_into_the_outbox": (
        """INSERT INTO outbox (slice, topic, key, type, sent_id, t, payload)
        SELECT slice, topic, key, type, 'c-9.1', t,
          replace(payload, substr(sent_id, 1, 32), 'c-9')
        FROM outbox WHERE type = 'payout.release'""",
        {"commands_sent"},
    ),
    "an_amount_changed_in_the_outbox": (
        """UPDATE outbox SET payload = replace(payload, '"amount_minor":700', '"amount_minor":999')
        WHERE type = 'payout.release'""",
        {"commands_sent"},
    ),
    "a_command_taken_out_of_the_outbox": (
        f"DELETE FROM outbox WHERE type = 'refund.issue' AND key = '{SPLIT}'",
        {"commands_sent"},
    ),
    "an_identity_gone": (
        "DELETE FROM identities WHERE ctid = (SELECT min(ctid) FROM identities)",
        {"identities"},
    ),
    "an_identity_of_nothing": (
        "INSERT INTO identities (identity, digest) VALUES ('\\x01', '\\x02')",
        {"identities"},
    ),
    "a_payment_id_freed_for_a_second_use": (
        f"DELETE FROM payments WHERE order_id = '{HELD}'",
        {"payments"},
    ),
    "a_payment_id_that_nobody_used": (
        "INSERT INTO payments VALUES ('p-ghost', 'o-ghost')",
        {"payments"},
    ),
    "a_parked_fact_forgotten": (f"DELETE FROM parked WHERE order_id = '{PARKED}'", {"rows"}),
    "a_parked_fact_that_never_expires": (
        f"UPDATE parked SET expires_at = NULL WHERE order_id = '{PARKED}'",
        {"rows"},
    ),
    "a_parcel_lost_on_paper": (
        f"UPDATE shipments SET state = 'lost' WHERE order_id = '{RELEASED}'",
        {"rows"},
    ),
    "evidence_gone": (f"DELETE FROM evidence WHERE order_id = '{SPLIT}'", {"rows"}),
    "an_offer_changed": (f"UPDATE offers SET by = 'supplier' WHERE order_id = '{SPLIT}'", {"rows"}),
    "a_chargeback_closed_by_hand": (
        f"UPDATE chargebacks SET state = 'won' WHERE order_id = '{HELD}'",
        {"rows"},
    ),
    "a_deadline_of_nothing": (
        f"INSERT INTO deadlines (order_id, request_id, due_at) VALUES ('{HELD}', 'r-1', 5)",
        {"rows"},
    ),
    "the_row_of_an_order_gone": (
        f"DELETE FROM escrows WHERE order_id = '{HELD}'",
        {"rows", "totals"},
    ),
    "totals_that_lie": (
        "UPDATE total_deltas SET held = held + 1 WHERE status = 'HELD'",
        {"totals"},
    ),
    "a_batch_gone": ("DELETE FROM batches WHERE topic = 'escrow.shipments.v1'", {"batches"}),
    "a_batch_that_counts_too_few": (
        "UPDATE batches SET applied = applied - 1 WHERE topic = 'escrow.payments.v1' AND applied > 0",
        {"batches"},
    ),
    "a_dead_letter_gone": (
        "DELETE FROM dead_letters",
        {"batches"},
    ),
    "records_skipped": (
        """UPDATE consumer_positions SET next_offset = next_offset + 5
        WHERE topic = 'escrow.payments.v1'""",
        {"batches"},
    ),
    "two_writers_in_turn": (
        """INSERT INTO batches SELECT stage, topic, partition, epoch + 1, first_offset, next_offset,
          0, 0, 0, next_offset - first_offset, 0, at - interval '1 min' FROM batches
        WHERE topic = 'escrow.payments.v1'""",
        {"batches"},
    ),
    "an_archive_that_is_not_there": (
        """INSERT INTO archives (folder, name, manifest_sha256, orders, facts, bytes, t_min, t_max,
          operator_id, reason) VALUES ('nowhere', 'facts-1', '', 1, 1, 1, 1, 1, 'o', 'r')""",
        {"archive"},
    ),
    "an_order_that_no_file_has": (
        f"INSERT INTO archived_orders VALUES ('{RELEASED}', 1, 6, 1)",
        {"archive"},
    ),
    "a_fact_counted_that_never_left": (
        """INSERT INTO archived_counts (archive_no, type, partition, outcome, facts)
        VALUES (1, 'payment.captured', 0, 'applied', 1)""",
        {"identities", "payments", "batches"},
    ),
    "a_trigger_off": ("ALTER TABLE facts DISABLE TRIGGER append_only", {"guards"}),
    "a_constraint_gone": (
        "ALTER TABLE escrows DROP CONSTRAINT ck_escrows_money_adds_up",
        {"guards"},
    ),
}


@pytest.fixture(scope="module")
def filled_template(stack: Servers, migrated_template: str) -> Iterator[str]:
    """The small world, to be copied for each corruption."""
    name = f"small_world_{uuid4().hex[:12]}"
    server = create_engine(stack.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"'))
    url = server.url.set(database=name).render_as_string(hide_password=False)
    Filler(url).records(a_small_world())
    yield name
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
def database_template(filled_template: str) -> str:
    return filled_template


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruption_is_found(settings: Settings, name: str) -> None:
    statement, expected = CORRUPTIONS[name]
    corrupt(settings.database.connection_url, statement)
    report = run_audit(settings, T0)
    found = {check for check, number in report.found.items() if number}
    assert expected <= found, report.findings
    assert not report.clean


def test_every_check_has_a_corruption_that_it_finds() -> None:
    found = {check for _, checks in CORRUPTIONS.values() for check in checks}
    assert found == set(CHECKS) - OPTIONAL  # these have tests of their own
