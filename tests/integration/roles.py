"""A migrated database with its roles in force, and a login for each: the processes as they should run."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import NullPool, create_engine, make_url, text

from storage.granting import grant, make_login
from storage.migrate import upgrade
from storage.roles import ROLES

PASSWORD: Final = "not-a-secret"


@contextmanager
def logins(url: str) -> Iterator[dict[str, str]]:
    """Process → a URL with which it logs in. The logins are gone afterwards; group roles stay."""
    upgrade(url)
    grant(url)
    tag = uuid.uuid4().hex[:8]
    made = {role.process: f"test_{role.process}_{tag}" for role in ROLES}
    for role in ROLES:
        make_login(url, made[role.process], role.name, PASSWORD)
    yield {process: logged_in(url, name) for process, name in made.items()}
    owner = create_engine(url, poolclass=NullPool)
    with owner.begin() as connection:
        for name in made.values():
            connection.execute(text(f"DROP ROLE {name}"))


def logged_in(url: str, name: str) -> str:
    """The same database, as this user."""
    return make_url(url).set(username=name, password=PASSWORD).render_as_string(hide_password=False)
