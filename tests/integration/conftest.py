"""Databases of tests are copies of one that the migrations have made."""

import uuid

import pytest
from sqlalchemy import NullPool, create_engine, text

from consumers.engine.config import Settings, load_settings
from storage.migrate import upgrade
from tests.servers import Servers


@pytest.fixture(scope="session")
def migrated_template(stack: Servers) -> str:
    """A migrated, empty database to copy; nobody stays connected to it."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    server = create_engine(stack.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    upgrade(server.url.set(database=name).render_as_string(hide_password=False))
    return name


@pytest.fixture
def database_template(migrated_template: str) -> str:
    return migrated_template


@pytest.fixture
def settings(kafka: str, database_url: str) -> Settings:
    """For the session's Kafka and this test's database."""
    return load_settings(kafka={"bootstrap_servers": kafka}, database={"url": database_url})
