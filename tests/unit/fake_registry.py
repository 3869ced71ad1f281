"""A schema registry on loopback, in memory: as much of Confluent's REST API as a registration meets, troubles included."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote
from uuid import NAMESPACE_URL, uuid5

from typing_extensions import override

WITHOUT_BODY: Final = -1  # as a status: the connection ends without an answer


class FakeRegistry:
    """Open from its making to `close`. `troubles`: (status, body) for the next requests to a path."""

    def __init__(self, *, guids: bool = True, user: str | None = None) -> None:
        self.subjects: dict[str, list[str]] = {}
        self.schemas: list[str] = []  # the id is the place, from 1
        self.asked: list[tuple[str, str]] = []
        self.troubles: dict[str, list[tuple[int, bytes]]] = {}
        self.incompatible: set[str] = set()  # subjects that take no further version
        self.guids, self.authorization = guids, user
        registry = self

        class Handler(_Handler):
            pass

        Handler.registry = registry
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def writes(self) -> int:
        """How often something was to be registered."""
        return sum(path.endswith("/versions") for _, path in self.asked)

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        schema, parts = body["schema"], path.strip("/").split("/")
        if body.get("schemaType") != "JSON" or "type" not in json.loads(schema):
            return 422, {"error_code": 42201, "message": "Invalid schema"}
        if parts[0] == "compatibility":
            is_compatible = unquote(parts[2]) not in self.incompatible
            messages = [] if is_compatible else ["a field was taken away"]
            return 200, {"is_compatible": is_compatible, "messages": messages}
        subject = unquote(parts[1])
        versions = self.subjects.get(subject)
        if parts[2:] == ["versions"]:
            return self._registered(subject, schema)
        if versions is None:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        if schema not in versions:
            return 404, {"error_code": 40403, "message": "Schema not found"}
        version = versions.index(schema) + 1
        return 200, {"subject": subject, "version": version, "schema": schema, **self._ids(schema)}

    def _registered(self, subject: str, schema: str) -> tuple[int, dict[str, Any]]:
        versions = self.subjects.setdefault(subject, [])
        if schema not in versions:
            if subject in self.incompatible:
                return 409, {
                    "error_code": 409,
                    "message": "Schema being registered is incompatible",
                }
            versions.append(schema)
        if schema not in self.schemas:
            self.schemas.append(schema)
        return 200, self._ids(schema)

    def _ids(self, schema: str) -> dict[str, Any]:
        ids: dict[str, Any] = {"id": self.schemas.index(schema) + 1}
        return {**ids, "guid": str(uuid5(NAMESPACE_URL, schema))} if self.guids else ids


class _Handler(BaseHTTPRequestHandler):
    registry: FakeRegistry

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.registry.asked.append((self.headers["Content-Type"], path))
        self.close_connection = True
        waiting = self.registry.troubles.get(unquote(path), [])
        if waiting:
            self._say(*waiting.pop(0))
        elif self.registry.authorization not in (None, self.headers["Authorization"]):
            self._say(401, b'{"error_code": 401, "message": "Unauthorized"}')
        else:
            status, answer = self.registry.answer(path, json.loads(body))
            self._say(status, json.dumps(answer).encode())

    def _say(self, status: int, text: bytes) -> None:
        if status == WITHOUT_BODY:
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    @override
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""
