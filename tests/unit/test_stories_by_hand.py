"""What product and model say of the small stories in tests/model/cases, whose ends were written by hand."""

import pytest

from tests.model.by_hand import Story, stories, written_row
from tests.model.compare import Runner, model, product

STORIES = stories()


@pytest.mark.parametrize("runner", [product, model])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_story_ends_as_written(story: Story, runner: Runner) -> None:
    code, outcomes, orders = runner(story.content)
    assert code == 0
    assert [(row["outcome"], row["code"]) for row in outcomes] == story.ends
    rows = [written_row(order) for order in orders if order["order_id"] == "o"]
    assert rows == ([] if story.row is None else [story.row])


def test_there_are_stories_of_every_section() -> None:
    sections = {story.title.partition(":")[0] for story in STORIES}
    assert sections == {"arrival", "gateway", "mediation", "negotiation", "payments"}
    assert all(story.lines for story in STORIES)
