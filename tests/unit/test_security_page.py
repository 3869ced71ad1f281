"""Each threat of docs/security.md names a test that is there, and each program that it names exists."""

import re
from pathlib import Path

from consumers.engine.acls import PRINCIPALS, user_of
from storage.roles import ROLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def test_each_test_that_a_threat_names_is_there() -> None:
    named = re.findall(r"`((?:unit|integration|acceptance)/\w+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 20
    for path, function in named:
        source = (ROOT / "tests" / path).read_text(encoding="utf-8")
        assert not function or f"def {function}(" in source, f"{path}::{function}"


def test_users_and_roles_are_called_as_the_page_says() -> None:
    known = {role.name for role in ROLES}
    known |= {user_of(who, {}).removeprefix("User:") for who in PRINCIPALS}
    said = set(re.findall(r"`(escrow_[a-z_]+)`", PAGE)) - {
        "escrow_deadlines_overdue",
        "escrow_sending_paused",
    }
    assert said <= known
    assert said >= {f"escrow_{who}" for who in ("relay", "ticker", "metrics", "setup", "views")}
