"""JSON Schemas of every type, from the models: closed for who writes it, open for who reads it.

A writer's schema knows every field and takes no other; a reader's lets fields that come later pass.
What no schema can say stands in `ALSO`, as sentences.
"""

from copy import deepcopy
from functools import cache
from typing import Any, Final

from ops.contract.messages import MESSAGES
from schemas.money import EXPONENTS

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ALSO: Final[dict[str, tuple[str, ...]]] = {
    "payment.captured": (
        "buyer_id and supplier_id are two different ids",
        "where order is given, quantity times unit_minor of all lines plus shipping_minor is amount_minor",
    ),
    "ruling.issued": ("refund_minor is there where outcome is refund_partial, and nowhere else",),
}
CURRENCIES: Final = sorted(EXPONENTS)
# `Cc` in words that every dialect of regular expressions has.
_PATTERNS: Final = {r"^[^\p{Cc}]*$": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_NOT_SAID: Final = frozenset({"title", "default"})


@cache
def _closed(type_name: str) -> Schema:
    message = MESSAGES[type_name]
    mode: Any = "validation" if message.flow == "fact" else "serialization"
    made = _said(message.model.model_json_schema(mode=mode, by_alias=True))
    made = {"$schema": DIALECT, "title": type_name, **made}
    made.setdefault("$defs", {})["Currency"] = {
        "description": "ISO 4217, exponent 0, 2 or 3",
        "enum": CURRENCIES,
    }
    if not _uses(made, "#/$defs/Currency"):
        del made["$defs"]["Currency"]
    if not made["$defs"]:
        del made["$defs"]
    if type_name in ALSO:
        made["description"] = " ".join(
            (made["description"], "Also:", "; ".join(ALSO[type_name]) + ".")
        )
    return made


def closed(type_name: str) -> Schema:
    """For who writes it: nothing that this schema refuses will be understood."""
    return deepcopy(_closed(type_name))


def opened(type_name: str) -> Schema:
    """For who reads it: what is not in it may come one day, and is to be passed over."""
    made: Schema = _open(closed(type_name))
    return made


def _open(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            name: _open(part)
            for name, part in node.items()
            if not (name == "additionalProperties" and part is False)
        }
    return [_open(part) for part in node] if isinstance(node, list) else node


def _said(node: Any) -> Any:
    """Pydantic's words without its titles and defaults, with our own for currency and patterns."""
    if isinstance(node, list):
        return [_said(part) for part in node]
    if not isinstance(node, dict):
        return node
    if node.get("enum") == CURRENCIES:
        return {"$ref": "#/$defs/Currency"}
    made: Schema = {}
    for name, part in node.items():
        if name in {"properties", "$defs"}:
            made[name] = {field: _said(schema) for field, schema in part.items()}
        elif name == "pattern":
            made[name] = _PATTERNS.get(part, part)
        elif name == "description":
            made[name] = " ".join(part.split()).replace("`", "")
        elif name == "patternProperties":
            made |= _of_any_name(part)
        elif name not in _NOT_SAID:
            made[name] = _said(part)
    names = node.get("patternProperties")
    if names and "propertyNames" in made:
        made["propertyNames"] = {**made["propertyNames"], "pattern": _PATTERNS[next(iter(names))]}
    return made


def _of_any_name(patterns: Schema) -> Schema:
    """Names of one pattern with values of one kind: nothing else may stand beside them."""
    (values,) = patterns.values()
    return {"additionalProperties": _said(values)}


def _uses(node: Any, ref: str) -> bool:
    if isinstance(node, dict):
        return node.get("$ref") == ref or any(_uses(part, ref) for part in node.values())
    return isinstance(node, list) and any(_uses(part, ref) for part in node)
