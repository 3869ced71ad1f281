"""The contract as pages: Markdown for a repository, one HTML file that needs nothing beside it."""

from collections.abc import Iterator

from ops.contract.about import About, about, glossary_of
from ops.contract.messages import BY_TOPIC, MESSAGES
from ops.web.pages import environment


def type_page(type_name: str) -> str:
    """One type as Markdown."""
    return "\n".join(_lines(about(type_name))) + "\n"


def index_page() -> str:
    """All types as Markdown, by topic."""
    lines = [
        "# The contract",
        "",
        "<!-- made by `escrow contract publish`; a test compares -->",
        "",
        "Every type that crosses Kafka, with who sends it, its fields, an example, and what becomes of it. For programs:",
        "[asyncapi.json](asyncapi.json) (AsyncAPI 3.1); `schemas/TYPE.json` is closed, for who writes the type, and",
        "`schemas/TYPE.reader.json` lets fields pass that a later release may bring. [index.html](index.html) is all of",
        "it in one file, to be opened without a network. `escrow contract check` names what a change would break.",
    ]
    for topic in BY_TOPIC.values():
        lines += [
            "",
            f"## `{topic.name}`",
            "",
            topic.purpose,
            "",
            "| type | what it says |",
            "|---|---|",
        ]
        lines += [
            f"| [{name}](types/{name}.md) | {MESSAGES[name].summary} |" for name in topic.types
        ]
    return "\n".join(lines) + "\n"


def html_page() -> str:
    """All of it in one file: style inside, no script, no address of anybody else."""
    return environment.get_template("contract_offline.html").render(
        topics=list(BY_TOPIC.values()),
        summaries={name: message.summary for name, message in MESSAGES.items()},
        abouts=[about(name) for name in MESSAGES],
        glossary={name: glossary_of(name) for name in MESSAGES},
    )


def _lines(page: About) -> Iterator[str]:
    message = page.message
    yield f"# {message.name}"
    yield ""
    yield "<!-- made by `escrow contract publish`; a test compares -->"
    yield ""
    yield message.summary
    yield ""
    yield f"- Topic: {', '.join(f'`{topic}`' for topic in message.topics)}; key: `{message.key}`; read by: {message.read_by}"
    yield f"- {page.sender}"
    yield from (f"- Besides what the schema says: {sentence}." for sentence in page.also)
    yield from _table(
        "Fields",
        ("field", "what it may be", "must be there"),
        (
            (f"`{name}`", words.replace("|", "\\|"), "yes" if needed else "")
            for name, words, needed in page.fields
        ),
    )
    yield from ("", "## Example", "", "```json", page.example, "```", "", "Headers:", "")
    yield from (f"- `{name}`: `{value}`" for name, value in page.headers.items())
    if page.rows:
        title = f"What becomes of it, by how the {page.meets} stands"
        yield from _table(
            title,
            (page.meets, "may become"),
            (
                (f"`{stood}`" if stood.isupper() else stood, "<br>".join(becomes))
                for stood, becomes in page.rows
            ),
        )
    for heading, codes in (
        ("Applied with a code", glossary_of(message.name)),
        ("Refused", page.refused),
        ("Parked", page.parked),
        ("Dead letters", page.dead),
    ):
        if codes:
            yield from _table(
                heading, ("code", "what it says"), ((f"`{c}`", text) for c, text in codes)
            )


def _table(
    heading: str, columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]
) -> Iterator[str]:
    yield from ("", f"## {heading}", "")
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)
