"""Who has fallen silent inside a COPY is ended by its successor: none of the server's timeouts does that.

While COPY waits for its client's next bytes the server looks neither at `statement_timeout` nor at
`transaction_timeout`. Where the client froze, or its end was swallowed by the network, the locks of
its batch would stay for as long as the connection looks alive.
"""

from typing import Final

from storage.engine import IDLE_IN_TRANSACTION_TIMEOUT_MS, Connection
from storage.rows import fetch

SILENT_MS: Final = IDLE_IN_TRANSACTION_TIMEOUT_MS  # what the server allows between two statements

_END: Final = """
WITH silent AS MATERIALIZED (
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND usename = current_user
    AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()
    AND state = 'active' AND wait_event = 'ClientRead'
    AND query_start < clock_timestamp() - %(silent_ms)b * interval '1 millisecond'
)
SELECT pid FROM silent WHERE pg_terminate_backend(pid)
"""


def end_silent(connection: Connection) -> list[int]:
    """End connections of our own login and program that began a COPY `SILENT_MS` ago and wait for its data.

    Returns their process ids at the server. Their transactions are rolled back; who lives after all
    connects anew and decides the same records again.
    """
    return [pid for (pid,) in fetch(connection, _END, silent_ms=SILENT_MS)]
