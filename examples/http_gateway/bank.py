"""A bank's payment API on loopback, for trials: idempotency keys, status queries, and bad manners on demand.

POST /payments with an Idempotency-Key pays once for each key and answers the same each time after. GET /payments/KEY
says what became of it. GET /returns lists what came back, GET /executed all that was paid. No money moves. As a program
(`python -m examples.http_gateway.bank --port 8090`) it misbehaves by magic amounts, as sandboxes do.
"""

import argparse
import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal

from typing_extensions import override

# What the next request about a reference meets, instead of good manners.
Manner = Literal[
    "breaks_before",  # the connection ends, nothing was done
    "breaks_after",  # the connection ends, and all was done
    "error_500",  # so does a proxy's error page: nothing was done
    "declines_for_now",  # RJCT, insufficient funds (AM04)
    "declines",  # RJCT, account closed (AC04)
    "returns",  # pays; later the money comes back
    "hesitates",  # pays, and takes its time to say so
]
NOT_DONE: Final = ("breaks_before", "error_500")
HESITATES_SECONDS: Final = 2.0
MAGIC: Final[dict[int, tuple[Manner, ...]]] = {  # amount_minor → what requests about it meet
    19901: ("declines_for_now",),
    19910: ("declines",),
    19920: ("breaks_before", "error_500", "breaks_before"),
    19921: ("breaks_after", "error_500", "breaks_before"),
    19950: ("returns",),
    19960: ("hesitates",),
}


class Bank:
    """The bank's books, and its server while it is open."""

    def __init__(self, port: int = 0) -> None:
        self.payments: dict[str, dict[str, Any]] = {}  # by idempotency key
        self.returns: list[dict[str, Any]] = []
        self.manners: defaultdict[str, list[Manner]] = defaultdict(list)  # by reference
        self._lock = threading.Lock()
        bank = self

        class Handler(_Handler):
            pass

        Handler.bank = bank
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def executed(self) -> list[dict[str, Any]]:
        """All payments that have moved money, in order."""
        with self._lock:
            return [one for one in self.payments.values() if one["status"] == "ACSC"]

    def pay(self, key: str, order: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        """Status and body of the answer; no body: the connection is to break."""
        with self._lock:
            if order["reference"] not in self.manners:
                self.manners[order["reference"]] = list(MAGIC.get(order["amount_minor"], ()))
            waiting = self.manners[order["reference"]]
            manner = waiting.pop(0) if waiting else None
            if manner in NOT_DONE:
                return 500, {"error": "try later"} if manner == "error_500" else None
            known = self.payments.get(key)
            if known is None:
                known = self.payments[key] = self._decide(manner, order)
            elif known["order"] != order:
                return 409, {"error": "this key belongs to another payment"}
        if manner == "hesitates":
            time.sleep(HESITATES_SECONDS)
        return 200, None if manner == "breaks_after" else known

    def status(self, key: str, reference: str) -> tuple[int, dict[str, Any] | None]:
        """What became of a key."""
        with self._lock:
            waiting = self.manners[reference]
            if waiting and waiting[0] in NOT_DONE:
                waiting.pop(0)
                return 500, None
            known = self.payments.get(key)
            return (404, {"error": "unknown"}) if known is None else (200, known)

    def _decide(self, manner: Manner | None, order: dict[str, Any]) -> dict[str, Any]:
        rejected = {"declines_for_now": "AM04", "declines": "AC04"}
        if manner in rejected:
            return {"status": "RJCT", "reason": rejected[manner], "order": order}
        if manner == "returns":
            self.returns.append({"reference": order["reference"], "reason": "AC06"})
        number = f"bank-{len(self.payments) + 1}"
        return {"status": "ACSC", "reason": None, "number": number, "order": order}


class _Handler(BaseHTTPRequestHandler):
    bank: Bank

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        order = json.loads(self.rfile.read(length))
        self._answer(*self.bank.pay(self.headers["Idempotency-Key"], order))

    def do_GET(self) -> None:
        if self.path == "/returns":
            self._answer(200, {"returns": list(self.bank.returns)})
            return
        if self.path == "/executed":
            self._answer(200, [_as_paid(one["order"]) for one in self.bank.executed()])
            return
        key = self.path.rpartition("/")[2]
        self._answer(*self.bank.status(key, key.partition(".")[0]))

    def _answer(self, status: int, body: dict[str, Any] | list[Any] | None) -> None:
        self.close_connection = True
        if body is None:
            return  # and so the connection ends without a word
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    @override
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _as_paid(order: dict[str, Any]) -> dict[str, Any]:
    """In the words of the conformance kit."""
    money = {name: order[name] for name in ("amount_minor", "currency")}
    return {"command_id": order["reference"], "party_id": order["to"], **money}


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("--port", required=True, type=int)
    bank = Bank(given.parse_args().port)
    print("open at", bank.url, flush=True)
    threading.Event().wait()
