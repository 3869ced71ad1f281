"""Whom this process believes: source rules and keys from their files, keys read anew when they change.

A file of keys that cannot be read stops the stage: with the old ones a revoked key might go on.
"""

import time
from pathlib import Path
from typing import Final

import structlog

from consumers.engine.config import Settings
from consumers.engine.second_signature import SecondSignature
from consumers.engine.signing import unusable
from schemas.door import Trust
from schemas.keys import BadKeys, KeyRing
from schemas.trust import AllOf, SignatureRules, SourceRules

LOOK_SECONDS: Final = 2.0  # a revoked key counts no longer than this after its file was exchanged

log = structlog.get_logger()


class Trusting:
    """`trust` and `second`, as a batch asks for them; both None where nobody is asked for anything."""

    def __init__(self, settings: Settings) -> None:
        """Raises Halt where a file cannot be used."""
        signing = settings.signing
        self._path = signing.keys_file
        self._looked_at = time.monotonic()
        self._signatures: SignatureRules | None = None
        rules: list[Trust] = []
        if self._path is not None:
            self._stamp = _stamp(self._path)
            self._signatures = SignatureRules(
                _read(self._path),
                signing.required,
                stamped_by_broker=settings.timestamp_type == "LogAppendTime",
            )
            rules.append(self._signatures)
        if settings.source_rules is not None:
            rules.append(_source_rules(settings.source_rules))
        self.trust: Trust | None = None
        if rules:
            self.trust = rules[0] if len(rules) == 1 else AllOf(*rules)
        self.second: SecondSignature | None = None
        if signing.ruling_limits and self._signatures is not None:
            self.second = SecondSignature(signing.ruling_limits, self._signatures)

    def look_again(self) -> None:
        """Take new keys as soon as their file has changed. Raises Halt."""
        if self._path is None or self._signatures is None:
            return
        now = time.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._signatures.ring = _read(self._path)
            self._stamp = stamp
            log.info("keys read anew", kids=[key.kid for key in self._signatures.ring.all()])


def key_ring(settings: Settings) -> KeyRing | None:
    """Whose signatures count here; None where nobody's are asked for. Raises Halt."""
    path = settings.signing.keys_file
    return None if path is None else _read(path)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise unusable("signing.keys_file", path, error) from None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: Path) -> KeyRing:
    try:
        return KeyRing.from_file(path)
    except (BadKeys, OSError) as error:
        raise unusable("signing.keys_file", path, error) from None


def _source_rules(path: Path) -> SourceRules:
    try:
        return SourceRules.from_file(path)
    except (ValueError, OSError) as error:
        raise unusable("source_rules", path, error) from None
