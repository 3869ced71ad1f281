"""Whatever way a connection goes, a program that waits for its database connects anew."""

import pytest
from psycopg import DataError, OperationalError, errors

from storage.engine import CONNECTION_LOST, Remedy, remedy


@pytest.mark.parametrize("sqlstate", ["08006", "25P03", "57P01", "57P02", "57P03", "57P05"])
def test_an_ended_connection_is_lost_and_not_a_reason_to_die(sqlstate: str) -> None:
    """25P03 is no OperationalError: a relay frozen within a transaction died of it."""
    assert isinstance(errors.lookup(sqlstate)("gone"), CONNECTION_LOST)


def test_whether_the_last_batch_was_committed_is_looked_up() -> None:
    assert remedy(errors.lookup("25P03")("gone")) is Remedy.UNKNOWN


def test_a_value_the_driver_cannot_write_is_looked_for_like_one_the_server_refuses() -> None:
    """No SQLSTATE: it was taken for a lost connection, and the same batch tried for ever."""
    cannot_write = DataError("cannot dump lists of mixed types")
    assert remedy(cannot_write) is Remedy.BISECT
    assert remedy(errors.lookup("22003")("out of range")) is Remedy.BISECT
    assert remedy(OperationalError("the connection is lost")) is Remedy.UNKNOWN
