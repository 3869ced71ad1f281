"""The AsyncAPI 3.1 document, from the pipeline's side: it receives facts, it sends commands and events."""

from importlib.metadata import version
from typing import Any, Final

from ops.contract.examples import example, headers
from ops.contract.json_schemas import Schema, closed, opened
from ops.contract.messages import BY_TOPIC, MESSAGES, Message
from schemas.topics import Topic

ASYNCAPI: Final = "3.1.0"
_KAFKA: Final = "0.5.0"  # of the binding
_DESCRIPTION: Final = (
    "All records are CloudEvents 1.0 with JSON data. Facts are taken in binary and structured mode; what the"
    " pipeline sends is in binary mode. The key is the partitioning key, and for facts it must equal the id inside."
    " Send a fact again under the same source and id as often as you like: the second time it is a duplicate."
    " Pass over fields and types that you do not know: they may come in any release."
)


def document() -> dict[str, Any]:
    """The whole document, as JSON."""
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Escrow pipeline",
            "version": version("escrow-pipeline"),
            "description": _DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in BY_TOPIC.values()},
        "operations": {
            f"{_verb(topic)}.{topic.name}": _operation(topic) for topic in BY_TOPIC.values()
        },
        "components": {
            "messages": {message.name: _message(message) for message in MESSAGES.values()},
            "schemas": _schemas(),
            "messageTraits": {"cloudevent": {"headers": _HEADERS}},
        },
    }


def _verb(topic: Topic) -> str:
    return "receive" if MESSAGES[topic.types[0]].flow == "fact" else "send"


def _channel(topic: Topic) -> dict[str, Any]:
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"{topic.purpose} Written by {topic.written_by}; read by {topic.read_by}. Key: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.types},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": topic.retention_ms,
                },
                "bindingVersion": _KAFKA,
            }
        },
    }


def _operation(topic: Topic) -> dict[str, Any]:
    channel = f"#/channels/{topic.name}"
    return {
        "action": _verb(topic),
        "channel": {"$ref": channel},
        "summary": topic.purpose,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in topic.types],
    }


def _message(message: Message) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.name,
        "summary": message.summary,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudevent"}],
        "payload": {"$ref": f"#/components/schemas/{message.name}"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": message.key},
                "bindingVersion": _KAFKA,
            }
        },
        "examples": [
            {
                "name": message.name,
                "headers": headers(message.name, "example-1"),
                "payload": example(message.name),
            }
        ],
    }


_HEADERS: Final[Schema] = {
    "type": "object",
    "required": ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type"],
    "properties": {
        "content-type": {"type": "string", "const": "application/json"},
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "minLength": 1, "maxLength": 256},
        "ce_source": {"type": "string", "minLength": 1, "maxLength": 256},
        "ce_type": {"type": "string"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "the record's key, where it is given"},
    },
}


def _schemas() -> dict[str, Schema]:
    """Of facts the closed ones, since the door takes no other; of what is sent the open ones."""
    parts: dict[str, Schema] = {}
    for message in MESSAGES.values():
        whole = closed(message.name) if message.flow == "fact" else opened(message.name)
        del whole["$schema"]
        for name, schema in whole.pop("$defs", {}).items():
            assert parts.setdefault(name, _moved(schema)) == _moved(schema), name
        parts[message.name] = _moved(whole)
    return parts


def _moved(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: part.replace("#/$defs/", "#/components/schemas/")
            if name == "$ref"
            else _moved(part)
            for name, part in node.items()
        }
    return [_moved(part) for part in node] if isinstance(node, list) else node
