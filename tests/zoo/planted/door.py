"""Planted where strangers' bytes come in: the door, its signatures and its rights."""

from typing import Final

from tests.zoo.shape import MODEL, Bug, bug

DOOR: Final[dict[str, Bug]] = {
    "duplicate JSON key accepted": bug(
        MODEL, "schemas.strict_json", "    if builder.duplicate:\n", "    if False:\n"
    ),
    "card number not looked for": bug(
        MODEL, "schemas.door", "        if cards.has_card_number(written):\n", "        if False:\n"
    ),
    "key not compared": bug(
        MODEL, "schemas.door", "    if record.key != key.encode() or (", "    if ("
    ),
    "any source may send": bug(
        "tests/unit/test_trust.py",
        "schemas.trust",
        "        return any(fnmatchcase(source, pattern) for",
        "        return bool(source) or any(fnmatchcase(source, pattern) for",
    ),
    "stripped signature accepted": bug(
        "tests/unit/test_signatures.py",
        "schemas.trust",
        "        if HEADER not in headers and fact.stage not in self._required:\n",
        "        if HEADER not in headers:\n",
    ),
    "a signature good for every topic": bug(
        "tests/unit/test_signatures.py",
        "schemas.signatures",
        '        what.topic.encode("utf-8", "backslashreplace"),\n',
        '        b"",\n',
    ),
    "any known key signs for everybody": bug(
        "tests/unit/test_attack.py",
        "schemas.signatures",
        "    if not any(key.speaks_for(what.sent.source, what.sent.type) for key in keys):\n",
        "    if not keys:\n",
    ),
    "one mediator signs twice": bug(
        "tests/integration/test_two_signatures.py",
        "consumers.engine.second_signature",
        "        return len({key.holder for key in keys}) < 2\n",
        "        return len(keys) < 1\n",
    ),
    "a revoked key still counts": bug(
        "tests/unit/test_signatures.py",
        "schemas.signatures",
        "    if key.revoked_at is not None and (revoked_for_all_time or t >= key.revoked_at):\n",
        "    if key.revoked_at is not None and t < 0:\n",
    ),
    "a signature that does not cover the amount": bug(
        "tests/unit/test_signatures.py",
        "schemas.signatures",
        "        what.value,\n    )\n",
        '        b"",\n    )\n',
    ),
    "a gateway that does not ask who ordered": bug(
        "tests/unit/test_attack.py",
        "schemas.command_door",
        "    signers(ring, what, last.get(HEADER), t, revoked_for_all_time=True)\n",
        "",
    ),
}
