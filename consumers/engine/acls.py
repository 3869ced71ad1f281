"""Who may do what at Kafka, made from the catalogue of topics; whatever is not made here is refused.

The broker denies by default, so there is no list of what is forbidden: nobody may delete, nobody may
alter at run time, and only one principal writes commands.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final, Literal, NamedTuple

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaTimeoutError

from consumers.engine.asking import TIMEOUT_MS, asked
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin
from schemas.facts import STAGE_TOPICS
from schemas.topics import TOPICS

OURS: Final = "escrow_"  # our own principals are called as their roles in the database
TOPIC_PREFIX: Final = "escrow."
OUTSIDE: Final[Mapping[str, str]] = {
    "checkout": "publishes captures and chargebacks",
    "carriers": "publish where the parcels are",
    "marketplace": "publishes what buyers and suppliers say; reads order events",
    "mediators": "publish rulings",
    "gateways": "read commands, publish what became of them",
}
INSIDE: Final[Mapping[str, str]] = {
    **{stage: f"the stage `{stage}`" for stage in STAGE_TOPICS},
    "relay": "sends commands and events; after a restore it reads what it has sent",
    "ticker": "announces deadlines, reads nothing",
    "views": "folds topics into derived views",
    "metrics": "watches lag",
    "console": "the pages of who only looks",
    "operator": "who acts: replays, rulings, reissues; the console of who acts",
    "auditor": "reads the witness",
    "setup": "`topics apply`: creates and configures, deletes nothing",
}
PRINCIPALS: Final[Mapping[str, str]] = {**INSIDE, **OUTSIDE}
PRODUCED_BYTES_PER_SECOND_MAX: Final = 10 * 1024 * 1024  # by each of those outside, a broker

Resource = Literal["topic", "group"]
Operation = Literal["READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"]
_WATCHERS: Final = ("metrics", "console", "operator")
_PLANNING: Final[tuple[Operation, ...]] = ("DESCRIBE", "DESCRIBE_CONFIGS")  # and `doctor`
_SETTING_UP: Final[tuple[Operation, ...]] = (*_PLANNING, "CREATE", "ALTER_CONFIGS")


class Allowed(NamedTuple):
    """One thing that one principal may do. READ and WRITE bring DESCRIBE with them."""

    principal: str  # our word for it
    resource: Resource
    name: str
    is_prefix: bool
    operation: Operation


def allowed(settings: Settings) -> list[Allowed]:
    """Everything that anybody may do, sorted; groups are named as the settings say."""
    found = [*_topics(), *_groups(settings)]
    assert {one.principal for one in found} == PRINCIPALS.keys(), "a principal without a right"
    return sorted(found)


def user_of(principal: str, users: Mapping[str, str]) -> str:
    """`User:...`, as `users` says, else by our own naming."""
    name = users.get(principal)
    return f"User:{name or (OURS + principal if principal in INSIDE else principal)}"


def apply_acls(settings: Settings, users: Mapping[str, str]) -> tuple[int, int]:
    """Make these principals' rights exactly the catalogue's; returns how many were made, and taken.

    Only rights of these users are looked at. Raises KafkaUnavailable.
    """
    wanted = {_acl_key(acl): acl for acl in _acls(allowed(settings), users)}
    with asked(settings), closing(make_admin(settings)) as admin:
        there = _there(admin, users)
        missing = [acl for key, acl in wanted.items() if key not in there]
        extra = [acl for key, acl in there.items() if key not in wanted]
        if missing:
            failed = admin.create_acls(missing)["failed"]
            if failed:
                raise failed[0]
        if extra:
            admin.delete_acls([_filter_of(acl) for acl in extra])
        _await(lambda: _there(admin, users).keys() == wanted.keys())
        return len(missing), len(extra)


def _there(admin: Any, users: Mapping[str, str]) -> dict[tuple[str, ...], ACL]:
    return {
        _acl_key(acl): acl
        for principal in PRINCIPALS
        for acl in admin.describe_acls(_all_of(user_of(principal, users)))[0]
    }


def _await(in_force: Callable[[], bool]) -> None:
    """A broker follows the controller a moment later: return when it does."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while not in_force():
        if time.monotonic() > deadline:
            raise KafkaTimeoutError("the rights were taken, but are not in force yet")
        time.sleep(0.05)


def _topics() -> Iterator[Allowed]:
    for topic in TOPICS:
        yield from (Allowed(who, "topic", topic.name, False, "WRITE") for who in topic.writers)
        yield from (Allowed(who, "topic", topic.name, False, "READ") for who in topic.readers)
    yield from (Allowed("setup", "topic", TOPIC_PREFIX, True, what) for what in _SETTING_UP)
    yield from (Allowed("operator", "topic", TOPIC_PREFIX, True, what) for what in _PLANNING)


def _groups(settings: Settings) -> Iterator[Allowed]:
    kafka = settings.kafka
    yield from (
        Allowed(stage, "group", kafka.group(stage), False, "READ") for stage in STAGE_TOPICS
    )
    yield Allowed("views", "group", kafka.group("views"), True, "READ")
    yield from (Allowed(who, "group", kafka.group(""), True, "DESCRIBE") for who in _WATCHERS)


def _acls(rights: Iterable[Allowed], users: Mapping[str, str]) -> Iterator[ACL]:
    for right in rights:
        kind = (
            ACLResourcePatternType.PREFIXED if right.is_prefix else ACLResourcePatternType.LITERAL
        )
        yield ACL(
            principal=user_of(right.principal, users),
            host="*",
            operation=ACLOperation[right.operation],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(
                ResourceType[right.resource.upper()], right.name, kind
            ),
        )


def _all_of(user: str) -> ACLFilter:
    return ACLFilter(
        principal=user,
        host=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
        resource_pattern=ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )


def _filter_of(acl: ACL) -> ACLFilter:
    where = acl.resource_pattern
    pattern = ResourcePatternFilter(where.resource_type, where.resource_name, where.pattern_type)
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, pattern)


def _acl_key(acl: ACL) -> tuple[str, ...]:
    """The client's ACLs compare, but have no hash."""
    where = acl.resource_pattern
    return (
        acl.principal,
        acl.host,
        acl.operation.name,
        acl.permission_type.name,
        where.resource_type.name,
        where.resource_name,
        where.pattern_type.name,
    )


def commands_of(
    rights: Collection[Allowed], users: Mapping[str, str], servers: str
) -> Iterator[str]:
    """The same as commands of Kafka's own tools: a line a principal and resource, then quotas."""
    tool = f"--bootstrap-server {servers} --command-config admin.properties"
    by_place: dict[tuple[str, Resource, str, bool], list[str]] = {}
    for right in rights:
        by_place.setdefault(right[:4], []).append(right.operation.title().replace("_", ""))
    for (principal, resource, name, is_prefix), operations in by_place.items():
        said = " ".join(f"--operation {operation}" for operation in operations)
        pattern = " --resource-pattern-type prefixed" if is_prefix else ""
        who = user_of(principal, users)
        yield (
            f"kafka-acls.sh {tool} --add --allow-principal {who} {said} --{resource} {name}{pattern}"
        )
    for principal in OUTSIDE:
        name = user_of(principal, users).removeprefix("User:")
        yield (
            f"kafka-configs.sh {tool} --alter --entity-type users --entity-name {name} "
            f"--add-config producer_byte_rate={PRODUCED_BYTES_PER_SECOND_MAX}"
        )
