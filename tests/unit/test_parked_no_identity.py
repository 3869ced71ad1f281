"""What found no room leaves no identity behind: sent again once there is room, it is decided (RULES 3.2, 3.4)."""

from pathlib import Path

import pytest

from tests.unit.dry import Dry, line


@pytest.fixture
def dry(tmp_path: Path) -> Dry:
    return Dry(tmp_path)


def test_a_fact_that_found_no_room_is_no_duplicate_when_it_comes_again(dry: Dry) -> None:
    crowd = [line("shipment.lost", id=f"{n}") for n in range(1_000)]
    late = line("shipment.lost", id="late")
    rows = dry.run(*crowd, late, late, line("payment.captured"), late, late)
    assert [row[:2] for row in rows[-5:]] == [
        ("dead_letter", "parking_full"),
        ("dead_letter", "parking_full"),
        ("applied", None),
        ("applied", None),
        ("duplicate", None),
    ]
