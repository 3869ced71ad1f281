"""What counts as JSON in `datacontenttype`: a media type has two parts, and neither is empty."""

import pytest

from schemas.envelope import BadEnvelope, Envelope, from_event

EVENT = {"specversion": "1.0", "id": "i", "source": "/s", "type": "t"}


@pytest.mark.parametrize("media", ["application/json", "text/JSON; charset=utf-8", "a/b+json"])
def test_json_is_taken(media: str) -> None:
    assert isinstance(from_event({**EVENT, "datacontenttype": media}), Envelope)


@pytest.mark.parametrize("media", ["/json", "json", "", "text/plain", "application/jsonx", 5])
def test_anything_else_is_a_bad_envelope(media: object) -> None:
    with pytest.raises(BadEnvelope):
        from_event({**EVENT, "datacontenttype": media})
