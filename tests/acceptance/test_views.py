"""The views may die and be wiped while money moves: no order notices, and they come back by themselves."""

import random
import threading
import time
from collections import Counter

import pytest
from sqlalchemy import create_engine

from consumers.engine.places import latest_by_key
from ops.local.pipeline import Pipeline
from ops.local.traffic import publish, stories
from ops.view_reading import StandingViews, read_views
from schemas.topics import VIEWS
from tests.acceptance.test_twenty_thousand_orders import KNOBS, ask, assert_orders_right
from tests.conftest import SEED
from tests.wiping import wipe

ORDERS = 1_500
SETTLED_SQL = """
SELECT supplier_id, count(*) FROM escrows
WHERE status IN ('RELEASED', 'REFUNDED', 'SPLIT', 'CHARGED_BACK') GROUP BY supplier_id
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def settled(views: StandingViews) -> Counter[str]:
    return Counter({r.supplier_id: r.orders_settled for r in views.suppliers if r.orders_settled})


@pytest.mark.timeout(240)
def test_killed_and_wiped_views_change_no_order_and_are_right_again() -> None:
    seed = SEED % 1_000_000
    rng = random.Random(seed)
    with Pipeline(views=True) as pipeline:
        settings = pipeline.settings
        records = list(stories(seed, ORDERS, knobs=KNOBS))
        sender = threading.Thread(target=publish, args=(records, settings), daemon=True)
        sender.start()
        for _ in range(2):
            time.sleep(rng.uniform(0.5, 2.0))
            pipeline.kill("views")
            wipe(settings, VIEWS)
        sender.join()
        pipeline.wait_idle(120)
        db = create_engine(settings.database.connection_url)
        assert_orders_right(db, settings)
        wanted = Counter(dict(ask(db, SETTLED_SQL)))
        db.dispose()
        assert len(wanted) > 5
        views = read_views(settings, now_ms())
        deadline = time.monotonic() + 60
        while (views.is_stale or settled(views) != wanted) and time.monotonic() < deadline:
            time.sleep(0.5)
            views = read_views(settings, now_ms())
        assert settled(views) == wanted, f"seed {seed}"
        assert views.flow["windows"]
        pipeline.kill("views", stays_down=True)
        wipe(settings, VIEWS)
        assert latest_by_key(settings, VIEWS) == {}
        assert read_views(settings, now_ms()).is_stale
