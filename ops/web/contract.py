"""The contract in the console: the same words as in docs/contract, made by the same code."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ops.contract.about import about, glossary_of
from ops.contract.asyncapi import document
from ops.contract.messages import BY_TOPIC, MESSAGES
from ops.web.pages import page


def all_types(request: Request) -> Response:
    """Every type, by topic."""
    summaries = {name: message.summary for name, message in MESSAGES.items()}
    topics = list(BY_TOPIC.values())
    return page(request, "contract.html", "Contract", topics=topics, summaries=summaries)


def one_type(request: Request) -> Response:
    """One type: who sends it, its fields, an example, and what becomes of it."""
    name = request.path_params["type"]
    if name not in MESSAGES:
        raise HTTPException(404, "There is no such type.")
    return page(request, "contract_type.html", name, about=about(name), glossary=glossary_of(name))


def asyncapi(_request: Request) -> Response:
    """For programs."""
    return JSONResponse(document())


routes: Final = [
    Route("/contract", all_types),
    Route("/contract/asyncapi.json", asyncapi),
    Route("/contract/{type}", one_type),
]
