"""A file of keys is understood as a whole, or not used; private halves stay where they belong."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.engine.config import load_settings
from consumers.engine.processing import Halt
from consumers.engine.signing import SIGNED_TOPICS, Wire, own_key, signing_wires
from consumers.engine.trusting import Trusting
from ops.cli.main import app
from ops.signing_keys import NewKey, make_key, revoke
from schemas.door import Fact, decode
from schemas.keys import BadKeys, KeyRing, signing_key
from schemas.signatures import HEADER, signature_header
from tests.attack.keys import jwk, signed, signing
from tests.builders import a_record, rejects


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kid": ""}, "no kid"),
        ({"kid": 7}, "no kid"),
        ({"d": "A" * 43}, "a private key among public ones"),
        ({"revoked": "2026-01-01T00:00:00Z"}, "unknown members: revoked"),
        ({"kty": "oct"}, "only Ed25519"),
        ({"crv": "X25519"}, "only Ed25519"),
        ({"alg": "none"}, "not a key for EdDSA"),
        ({"use": "enc"}, "not a key for EdDSA"),
        ({"holder": ""}, "no holder"),
        ({"sources": []}, "sources is a list"),
        ({"sources": "*"}, "sources is a list"),
        ({"types": [1]}, "types is a list"),
        ({"types": ["refund.isue"]}, "no type that is signed"),
        ({"x": "A" * 42}, "not the 32 bytes"),
        ({"x": "A" * 42 + "B"}, "not the 32 bytes"),
        ({"x": "A" * 42 + "="}, "not the 32 bytes"),
        ({"x": None}, "not the 32 bytes"),
        ({"not_after": "tomorrow"}, "not an RFC 3339 time"),
        ({"revoked_at": 1}, "not an RFC 3339 time"),
        ({"not_before": "0000-01-01T00:00:00Z"}, "out of range"),
    ],
)
def test_a_key_that_is_not_understood_spoils_the_file(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadKeys, match=why):
        KeyRing.from_jwks({"keys": [jwk("shop"), jwk("relay", **changes)]})


@pytest.mark.parametrize("jwks", [None, [], {}, {"keys": []}, {"keys": {}}, {"keys": [1]}])
def test_a_file_without_keys_is_a_mistake(jwks: object) -> None:
    with pytest.raises(BadKeys):
        KeyRing.from_jwks(jwks)


def test_one_kid_is_one_key() -> None:
    with pytest.raises(BadKeys, match="stands twice"):
        KeyRing.from_jwks({"keys": [jwk("shop"), jwk("relay", kid="shop")]})


def test_a_new_key_signs_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    private, public = tmp_path / "private.json", tmp_path / "keys.json"
    kid = make_key(NewKey("shop", ["/shop"], ["payment.*"]), private, public)
    assert private.stat().st_mode & 0o777 == 0o600
    assert '"d"' not in public.read_text()
    key = signing_key(private)
    assert key.kid == kid
    assert json.loads(private.read_text())["d"] not in repr(key)
    second = make_key(NewKey("shop", ["/shop"], ["*"]), tmp_path / "second.json", public)
    assert [key.kid for key in KeyRing.from_file(public).all()] == [kid, second]
    with pytest.raises(FileExistsError):
        make_key(NewKey("shop", ["/shop"], ["*"]), private, public)
    with pytest.raises(BadKeys, match="no type"):
        make_key(NewKey("shop", ["/shop"], ["x"]), tmp_path / "third.json", public)
    assert not (tmp_path / "third.json").exists()


def test_a_key_is_revoked_for_good(tmp_path: Path) -> None:
    public = tmp_path / "keys.json"
    kid = make_key(NewKey("shop", ["/shop"], ["*"]), tmp_path / "a.json", public)
    assert revoke(public, kid, "2026-02-01T00:00:00Z").revoked_at == 1_769_904_000_000
    revoke(public, kid, "2026-01-01T00:00:00Z")
    with pytest.raises(BadKeys, match="earlier"):
        revoke(public, kid, "2026-03-01T00:00:00Z")
    with pytest.raises(BadKeys, match="no such key"):
        revoke(public, "nobody", "2026-03-01T00:00:00Z")
    with pytest.raises(BadKeys, match="not an RFC 3339"):
        revoke(public, kid, "now")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{}", "no private key"),
        ("[]", "no private key"),
        (json.dumps({**jwk("shop"), "d": "A" * 43}), "do not belong together"),
        (json.dumps({**jwk("shop"), "d": "short"}), "not the 32 bytes"),
    ],
)
def test_what_is_no_private_key_signs_nothing(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "private.json"
    file.write_text(text)
    with pytest.raises(BadKeys, match=why):
        signing_key(file)
    with pytest.raises(Halt, match=r"private_key_file: .*private\.json: "):
        own_key(load_settings(signing={"private_key_file": file}))


def test_without_keys_nothing_is_asked_and_nothing_is_signed() -> None:
    settings = load_settings()
    trusting = Trusting(settings)
    trusting.look_again()
    assert (trusting.trust, trusting.second, own_key(settings)) == (None, None, None)


def test_keys_are_read_anew_when_their_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, rules = tmp_path / "keys.json", tmp_path / "sources.json"
    file.write_text(json.dumps({"keys": [jwk("shop")]}))
    rules.write_text(json.dumps({"refund.requested": ["/shop"]}))
    settings = load_settings(signing={"keys_file": file}, source_rules=rules)
    trusting = Trusting(settings)
    record = signed(a_record("refund.requested"), "shop")
    assert isinstance(decode(record, trusting.trust), Fact)
    rejects(a_record("refund.requested"), "bad_signature", trusting.trust)
    rejects(a_record("payment.captured"), "unauthorized_source", trusting.trust)
    file.write_text(json.dumps({"keys": [jwk("shop", revoked_at="2020-01-01T00:00:00Z")]}))
    trusting.look_again()  # too soon to look
    assert isinstance(decode(record, trusting.trust), Fact)
    monkeypatch.setattr("consumers.engine.trusting.LOOK_SECONDS", 0.0)
    trusting.look_again()
    rejects(record, "bad_signature", trusting.trust)
    file.write_text("{}")
    with pytest.raises(Halt, match=r"keys_file: .*keys\.json: expected"):
        trusting.look_again()
    file.unlink()
    with pytest.raises(Halt, match="No such file"):
        trusting.look_again()


@pytest.mark.parametrize("text", ["[]", "not JSON", '{"keys": []}'])
def test_a_stage_does_not_start_with_keys_or_rules_that_it_cannot_use(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "keys.json"
    file.write_text(text)
    with pytest.raises(Halt, match="keys_file"):
        Trusting(load_settings(signing={"keys_file": file}))
    with pytest.raises(Halt, match="source_rules"):
        Trusting(load_settings(source_rules=file))


def test_a_process_signs_what_its_readers_ask_for_and_nothing_else() -> None:
    sign = signing_wires(signing("relay"))
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"escrow"),
        ("ce_type", b"payout.release"),
    ]
    wire = Wire("escrow.payout-commands.v1", b"o-1", b"{}", headers, 1)
    header = signature_header(signing("relay"), wire.topic, wire.key, wire.value, headers)
    assert sign(wire).headers == [*headers, header]
    assert header[0] == HEADER
    told = wire._replace(topic="escrow.order-events.v1")
    assert sign(told) is told
    assert len(SIGNED_TOPICS) == 10


def test_keys_are_made_shown_and_revoked_on_the_command_line(tmp_path: Path) -> None:
    jwks, private = tmp_path / "keys.json", tmp_path / "shop.json"

    def escrow(*words: str, code: int = 0) -> str:
        answer = CliRunner().invoke(app, [*words, "--keys", str(jwks)])
        assert answer.exit_code == code, answer.output
        return answer.stdout

    new = ["keys", "new", "--holder", "shop", "--source", "/shop", "--type", "payment.*"]
    kid = escrow(*new, "--private", str(private)).strip()
    escrow(*new, "--private", str(private), code=2)  # none is replaced
    (key,) = json.loads(escrow("keys", "list", "--json"))
    assert key["kid"] == kid
    escrow("keys", "revoke", kid, "--dry-run")
    assert KeyRing.from_file(jwks).all()[0].revoked_at is None
    assert "revoked" in escrow("keys", "revoke", kid, "--yes")
    assert KeyRing.from_file(jwks).all()[0].revoked_at is not None
    assert "no: revoked" in escrow("keys", "list").replace("\n", " ")
    escrow("keys", "revoke", "nobody", "--yes", code=2)
