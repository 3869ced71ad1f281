"""One catalogue of topics: whole, consistent with the wire words, and the page made from it."""

import re
from pathlib import Path

import pytest

from ops.topics_page import render_topics_page
from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE
from schemas.facts import FACT_TYPES, INPUT_TOPICS
from schemas.order_events import DEAD_LETTERS, ORDER_EVENTS
from schemas.topics import DAY_MS, TOPIC_NAMES, TOPICS, VIEWS, Topic

BY_NAME = {topic.name: topic for topic in TOPICS}
PAGE = Path(__file__).parents[2] / "docs" / "topics.md"


def test_every_topic_of_the_wire_words_is_there_once() -> None:
    wanted = {*INPUT_TOPICS, *COMMAND_TOPIC.values(), ORDER_EVENTS, DEAD_LETTERS, VIEWS}
    assert set(TOPIC_NAMES) == wanted
    assert len(TOPIC_NAMES) == len(wanted) == 13


def test_every_fact_type_is_carried_by_its_own_topic_and_no_other() -> None:
    for fact in FACT_TYPES.values():
        assert [t.name for t in TOPICS if fact.name in t.types] == [fact.topic]


def test_each_command_topic_carries_its_command_and_the_question_about_it() -> None:
    for kind, topic in COMMAND_TOPIC.items():
        assert BY_NAME[topic].types == (COMMAND_TYPE[kind], "command.status_requested")


def test_facts_of_orders_are_keyed_by_order_and_reports_by_supplier() -> None:
    keys = {name: BY_NAME[name].key for name in INPUT_TOPICS}
    assert keys.pop("escrow.supplier-reports.v1") == "supplier_id"
    assert set(keys.values()) == {"order_id"}


def test_names_carry_their_version() -> None:
    assert all(re.fullmatch(r"escrow\.[a-z]+(-[a-z]+)*\.v1", name) for name in TOPIC_NAMES)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_the_broker_measures_what_it_takes_and_sets_the_time(topic: Topic) -> None:
    config = topic.config("LogAppendTime")
    assert config["compression.type"] == "lz4"
    assert config["max.message.bytes"] == "1048576"
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["cleanup.policy"] == ("compact" if topic.name == VIEWS else "delete")


def test_where_producers_set_the_time_nothing_is_too_old_or_too_early() -> None:
    for topic in TOPICS:
        config = topic.config("CreateTime")
        assert config["retention.ms"] == "-1"
        assert config["message.timestamp.after.max.ms"] == str(1_000 * 365 * DAY_MS)


def test_originals_of_dead_letters_are_kept_as_long_as_the_dead_letters() -> None:
    kept = BY_NAME[DEAD_LETTERS].retention_ms
    assert kept >= 30 * DAY_MS
    assert all(BY_NAME[name].retention_ms >= kept for name in INPUT_TOPICS)


def test_the_page_is_the_catalogue() -> None:
    page = render_topics_page()
    assert PAGE.read_text(encoding="utf-8") == page, "make the page again: python -m ops.docs"
    assert all(f"`{name}`" in page for topic in TOPICS for name in (topic.name, *topic.types))
