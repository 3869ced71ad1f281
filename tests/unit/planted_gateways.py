"""A small gateway adapter that keeps the contract, and one way for each check in which it may not."""

import json
from typing import Any, Final

from typing_extensions import override

from ops.conformance.relay_key import jwks_of, new_key
from ops.conformance.rig import Given, Moved, Said, Trick
from schemas.command_door import Unreadable, Unsigned, read_signed_command
from schemas.commands import COMMAND_TOPIC, PaymentCommand
from schemas.keys import KeyRing, Signing
from schemas.signatures import HEADER
from tests.builders import T0

# the check that must find it → what is wrong with the adapter
BUGS: Final[dict[str, str]] = {
    "a_command_is_paid_once_and_said_to_be_settled": "never says settled",
    "refund_and_payout_of_one_order_are_two": "knows payments by their order",
    "a_repetition_pays_nothing_more": "pays whatever it reads",
    "a_repetition_after_a_restart_pays_nothing_more": "forgets",
    "a_higher_attempt_after_settled_pays_nothing_more": "any higher attempt is a new one",
    "a_late_repetition_of_what_was_paid_is_not_called_failed": "looks at the time first",
    "nothing_begins_after_not_after": "never looks at the time",
    "what_failed_is_tried_again_by_a_higher_attempt_alone": "the same attempt is tried again",
    "a_lower_attempt_that_comes_late_changes_nothing": "any other attempt is a new one",
    "what_failed_for_good_says_so": "calls every failure retryable",
    "a_failure_of_one_stops_nobody_else": "a failure ends the poll",
    "no_answer_before_the_effect_is_never_told_as_done": "takes silence for success",
    "no_answer_after_the_effect_is_never_told_as_failed": "takes silence for failure",
    "killed_after_the_effect_it_goes_on_without_a_second": "a new key each time",
    "asked_it_tells_what_is_true": "is deaf to questions",
    "asked_about_what_it_never_saw_it_is_silent_and_does_nothing": "answers any question",
    "one_id_for_two_payments_is_acted_upon_once_at_most": "believes the last one",
    "money_that_comes_back_is_told_and_not_sent_again": "keeps returns to itself",
    "what_cannot_be_read_stops_nothing": "takes known fields only",
    "the_same_answer_has_the_same_id": "a new id each time",
    "what_the_relay_has_not_signed_moves_nothing": "believes anybody",
    "what_was_altered_after_signing_moves_nothing": "looks for a signature only",
}
# what no check is about, yet all of them look at
UNSOUND: Final = (
    "names another amount",
    "another key than the order",
    "one id for all answers",
    "pays another party",
    "writes no JSON",
)
FIELDS: Final = PaymentCommand.model_fields.keys()


class Planted:
    """In memory, on one table of payments by key; `bug` is what is wrong with it, if anything."""

    def __init__(self, bug: str | None = None) -> None:
        self.bug = bug
        self._known: dict[str, dict[str, Any]] = {}  # what survives a restart
        self._keys: dict[str, Moved | None] = {}  # the bank's; None: declined
        self._moved: list[Moved] = []
        self._tricks: dict[str, Trick] = {}
        self._said: list[Said] = []
        self._count = 0
        self.relay_key: Signing | None = new_key()  # None: it verifies nothing
        self._ring = KeyRing.from_jwks(jwks_of(self.relay_key))

    def now(self) -> int:
        return T0

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand | None:
        self._tricks[command.command_id] = trick
        return command

    def said(self) -> list[Said]:
        return list(self._said)

    def moved(self) -> list[Moved]:
        return list(self._moved)

    def restart(self) -> None:
        if self.bug == "forgets":
            self._known.clear()
            self._keys.clear()

    def close(self) -> None:
        pass

    def give(self, *records: Given) -> None:
        for given in records:
            if not self._believes(given):
                continue
            try:
                data = json.loads(given.value)
            except ValueError:
                continue
            type_name = dict(given.headers)["ce_type"].decode()
            if type_name == "command.status_requested":
                self._asked(data)
            elif type_name in ("refund.issue", "payout.release"):
                if self.bug == "takes known fields only" and data.keys() - FIELDS:
                    continue
                went = self._ordered(data)
                if self.bug == "a failure ends the poll" and not went:
                    return

    def _believes(self, given: Given) -> bool:
        if self.bug == "believes anybody" or self.relay_key is None:
            return True
        if self.bug == "looks for a signature only":
            return HEADER in dict(given.headers)
        place = (COMMAND_TOPIC[given.kind], given.key.encode(), given.value)
        try:
            read_signed_command(self._ring, *place, given.headers, given.t)
        except Unsigned:
            return False
        except Unreadable:
            return True  # signed, and of a later release
        return True

    def _asked(self, data: dict[str, Any]) -> None:
        known = self._known.get(data["command_id"])
        if self.bug == "is deaf to questions":
            return
        if known is None:
            if self.bug == "answers any question":
                self._say({**data, "amount_minor": 1, "currency": "EUR", "attempt": 1}, "failed")
            return
        self._tricks.pop(data["command_id"], None)
        self._resume(known)

    def _ordered(self, command: dict[str, Any]) -> bool:
        """Whether it went well."""
        name = "order_id" if self.bug == "knows payments by their order" else "command_id"
        known = self._known.get(command[name])
        is_late = command["not_after"] < "2023-11-14"
        if is_late and self.bug == "looks at the time first":
            self._say(command, "failed", retryable=False)
            return False
        if known is not None and self.bug != "pays whatever it reads":
            same = all(known[field] == command[field] for field in ("amount_minor", "party_id"))
            if not same and self.bug != "believes the last one":
                return True
            if self._again(known, command) is False:
                return self._resume(known)
        if is_late and self.bug != "never looks at the time":
            self._known[command[name]] = {**command, "last": ("failed", False)}
            return self._resume(self._known[command[name]])
        self._known[command[name]] = {**command, "last": None}
        return self._resume(self._known[command[name]])

    def _again(self, known: dict[str, Any], command: dict[str, Any]) -> bool:
        """Whether this is to be tried as a new attempt."""
        if self.bug == "any higher attempt is a new one":
            return bool(command["attempt"] > known["attempt"])
        if self.bug == "any other attempt is a new one":
            return bool(command["attempt"] != known["attempt"])
        if self.bug == "believes the last one" and command["amount_minor"] != known["amount_minor"]:
            return True
        if known["last"] is None or known["last"][0] != "failed":
            return False
        if self.bug == "the same attempt is tried again":
            return True
        return bool(command["attempt"] > known["attempt"])

    def _resume(self, known: dict[str, Any]) -> bool:
        if known["last"] is None:
            known["last"] = self._pay(known)
        if known["last"] is None:
            return True
        word, retryable = known["last"]
        self._say(known, word, retryable=retryable)
        comes_back = self._tricks.get(known["command_id"]) == "comes_back" and word == "settled"
        if comes_back and self.bug != "keeps returns to itself":
            known["last"] = ("returned", None)
            self._say(known, "returned")
        return bool(word != "failed")

    def _pay(self, known: dict[str, Any]) -> tuple[str, bool | None] | None:
        """The bank's word; None: it said nothing."""
        self._count += 1
        trick = self._tricks.get(known["command_id"])
        if (
            trick == "refuses_for_now"
            and known["attempt"] == 1
            and self.bug != "the same attempt is tried again"
        ):
            return "failed", True
        if trick == "refuses_for_now" and self.bug == "the same attempt is tried again":
            self._tricks.pop(known["command_id"])
            return "failed", True
        if trick == "refuses_for_good":
            return "failed", self.bug == "calls every failure retryable"
        if trick != "silent_before":
            self._execute(known)
        if trick in ("silent_before", "silent_after"):
            if self.bug == "takes silence for success":
                return "settled", None
            return ("failed", True) if self.bug == "takes silence for failure" else None
        if trick == "dies_after_the_effect":
            self._tricks.pop(known["command_id"])
            return None
        return "settled", None

    def _execute(self, known: dict[str, Any]) -> None:
        key = f"{known['command_id']}.{known['attempt']}"
        if self.bug in ("a new key each time", "pays whatever it reads", "believes the last one"):
            key = str(self._count)
        if key in self._keys:
            return
        party = "mallory" if self.bug == "pays another party" else known["party_id"]
        self._keys[key] = Moved(
            known["command_id"], party, known["amount_minor"], known["currency"]
        )
        self._moved.append(
            Moved(known["command_id"], party, known["amount_minor"], known["currency"])
        )

    def _say(self, known: dict[str, Any], word: str, retryable: bool | None = None) -> None:
        self._count += 1
        if word == "settled" and self.bug == "never says settled":
            return
        id_ = f"{known['command_id']}.{known['attempt']}.{word}"
        if self.bug == "a new id each time":
            id_ = str(self._count)
        if self.bug == "one id for all answers":
            id_ = "answer"
        data = {
            name: known[name] for name in ("order_id", "command_id", "amount_minor", "currency")
        }
        data["amount_minor"] += self.bug == "names another amount"
        if retryable is not None:
            data["retryable"] = retryable
        headers = (
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", id_.encode()),
            ("ce_source", b"/planted"),
            ("ce_type", f"gateway.{word}".encode()),
        )
        key = "order" if self.bug == "another key than the order" else known["order_id"]
        value = b"{" if self.bug == "writes no JSON" else json.dumps(data).encode()
        self._said.append(Said(key, headers, value))


class Unable(Planted):
    """Its author could not make the gateway misbehave."""

    @override
    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand | None:
        return None


class Forgetful(Planted):
    """What it has done does not survive a restart."""

    def __init__(self) -> None:
        super().__init__("forgets")
