"""The schema moves only by migrations, and by one process at a time (an advisory lock).

Expand before contract: version N must run on the schema of N+1.
"""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

_HERE: Final = Path(__file__).parent / "migrations"
LOCK_KEY: Final = 0x65736372  # "escr"


def config(url: str) -> Config:
    """Alembic's configuration, without a file: the URL may hold a password."""
    made = Config()
    made.set_main_option("script_location", str(_HERE))
    made.attributes["url"] = url
    return made


def upgrade(url: str, revision: str = "head") -> str | None:
    """Bring the database at `url` to `revision`; returns the revision it then has."""
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            try:
                made = config(url)
                made.attributes["connection"] = connection
                connection.commit()
                command.upgrade(made, revision)
                connection.commit()
                return MigrationContext.configure(connection).get_current_revision()
            finally:
                connection.rollback()
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})
                connection.commit()
    finally:
        engine.dispose()


def current(url: str) -> str | None:
    """The revision that the database has, None for an empty one."""
    engine = create_engine(url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def head() -> str | None:
    """The revision that this code expects."""
    return ScriptDirectory.from_config(config("")).get_current_head()
