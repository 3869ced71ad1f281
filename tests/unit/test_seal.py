"""A free text is bound to its fact by a salted digest: forgotten, it leaves the chain whole."""

from hashlib import sha256

import pytest

from schemas.door import seal, sealed_digest
from schemas.facts import FACT_TYPES
from tests.builders import SAMPLES, a_fact


def test_a_sealed_text_can_be_forgotten_and_the_digest_still_proved() -> None:
    fact = a_fact("refund.requested", note="hello")
    sealed = seal(fact, b"salt")
    assert sealed.text_digest == sha256(b"salthello").digest()
    assert sealed.digest == sha256(fact.digest + sealed.text_digest).digest()
    assert sealed_digest(fact.digest, sealed.text_digest) == sealed.digest


def test_another_salt_or_another_text_is_another_seal() -> None:
    fact = a_fact("refund.requested", note="hello")
    other = a_fact("refund.requested", note="hallo")
    assert len({seal(fact, b"a").digest, seal(fact, b"b").digest, seal(other, b"a").digest}) == 3


def test_a_fact_without_a_text_needs_no_seal() -> None:
    plain = a_fact("refund.requested")
    assert seal(plain, b"salt") is plain
    assert sealed_digest(plain.digest, None) == plain.digest


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stored_payload_is_read_back_as_the_same_fact(name: str) -> None:
    fact = a_fact(name)
    assert FACT_TYPES[name].model.model_validate_json(fact.payload) == fact.data
