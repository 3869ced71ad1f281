"""The console on a real line in a real browser: every page, both colour schemes, two sizes, and what people do there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from ops.local.pipeline import Pipeline
from ops.local.traffic import publish
from tests.acceptance.browser import SCHEMES, SIZES, Visit, browser, visit
from tests.acceptance.console_line import (
    LAMP,
    SPOILT,
    VIOLIN,
    behind,
    console_line,
    many_parcels,
    write_account,
)
from tests.integration.waiting import until

PAGE_BYTES_MAX = 100_000
PARCELS = 2_000
LOOKED_AT_CLOSELY = tuple(zip(SCHEMES, SIZES, strict=True))  # each scheme, and each size
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(scope="module")
def line(chrome: Browser) -> Iterator[Pipeline]:
    with console_line() as pipeline:
        yield pipeline


@pytest.fixture
def window(chrome: Browser, line: Pipeline) -> Iterator[Visit]:
    assert line.web_url is not None
    with visit(chrome, line.web_url) as opened:
        yield opened


def letter_of(window: Visit, id_: str) -> str:
    """The address of the dead letter of this fact."""
    page = window.go("/dead-letters?code=invalid_data")
    for link in page.locator("tbody a").all():
        href = link.get_attribute("href") or ""
        if id_ in page.request.get(page.url.split("/dead-letters")[0] + href).text():
            return href
    raise AssertionError(f"no dead letter of {id_}")


def pages(window: Visit) -> list[str]:
    letter = letter_of(window, SPOILT)
    return [
        "/",
        "/orders",
        "/orders?q=nothing-like-it",
        f"/orders/{VIOLIN}",
        "/lag",
        "/lag/payments",
        "/dead-letters",
        letter,
        f"{letter}/mend",
        "/mediation",
        f"/mediation/{VIOLIN}",
        "/suppliers",
        "/alarms",
        "/runbook",
        "/webhooks",
        "/reconciliation",
        "/contract",
        "/contract/refund.offered",
    ]


def forms(opened: Visit, letter: str, file: Path) -> Iterator[str]:
    """What is shown when a form is sent that changes nothing yet, page after page."""
    page = opened.go("/dead-letters")
    page.locator("input[name=place]").first.check()
    page.get_by_role("button", name="What would become of those chosen").click()
    yield "forecast"
    page = opened.go(f"{letter}/mend")
    page.fill("#value", page.input_value("#value").replace("42.5", "4250"))
    page.get_by_role("button", name="What differs").click()
    yield "mended"
    page = opened.go(f"/mediation/{VIOLIN}")
    page.check("input[value=release]")
    page.get_by_role("button", name="What it would pay").click()
    yield "ruling"
    page = opened.go("/reconciliation")
    page.set_input_files("#file", file)
    page.get_by_role("button", name="Compare").click()
    yield "reconciled"


def test_every_page_in_both_schemes_and_sizes(
    chrome: Browser, line: Pipeline, window: Visit, record_property: Callable[[str, object], None]
) -> None:
    assert line.web_url is not None
    paints, paths = [], pages(window)
    for scheme in SCHEMES:
        for size in SIZES:
            with visit(chrome, line.web_url, scheme, size, bypass_csp=True) as opened:
                for path in paths:
                    opened.go(path)
                    paints.append(opened.first_paint_ms)
                    assert 0 < opened.bytes < PAGE_BYTES_MAX, (path, opened.bytes)
                    opened.assert_sound()
                    if (scheme, size) in LOOKED_AT_CLOSELY:
                        assert opened.accessibility() == [], (path, scheme, size)
    record_property("first_paint_ms_median", sorted(paints)[len(paints) // 2])


def test_every_answer_to_a_form_can_be_read_by_all(
    chrome: Browser, line: Pipeline, window: Visit, tmp_path: Path
) -> None:
    assert line.web_url is not None
    letter, file = letter_of(window, SPOILT), tmp_path / "day.jsonl"
    planted = write_account(line, file, plant=8)
    for scheme, size in LOOKED_AT_CLOSELY:
        with visit(chrome, line.web_url, scheme, size, bypass_csp=True) as opened:
            seen = []
            for name in forms(opened, letter, file):
                opened.assert_sound()
                assert opened.accessibility() == [], (name, scheme, size)
                seen.append(name)
            assert seen == ["forecast", "mended", "ruling", "reconciled"]
            assert f"{planted} differences" in opened.text("[role=status]")


def test_suppliers_are_shown_as_the_views_have_them(window: Visit) -> None:
    page = window.page

    def shown() -> bool:
        window.go("/suppliers")
        return page.locator("tbody th", has_text="supplier-1").count() > 0

    until(shown)
    assert "stale" not in window.text()
    window.go("/suppliers?q=nobody-like-that")
    assert "None like that" in window.text()


def test_an_alarm_says_since_when_what_to_do_first_and_where_to_read_on(
    window: Visit, line: Pipeline
) -> None:
    page = window.go("/alarms")
    until(lambda: "Quiet" in window.text() and "EscrowTickerMissing" in window.text("#quiet"))
    line.stop_program("ticker")
    until(lambda: "No ticker is active" in window.text("#pending"))
    line.start_program("ticker")
    assert "First: start escrow ticker." in window.text("#pending")
    page.get_by_role("link", name="Runbook: deadlines overdue").first.click()
    page.wait_for_url("**/runbook#deadlines-overdue")
    assert "Is a ticker running?" in window.text()
    window.go("/alarms")
    until(lambda: "EscrowTickerMissing" in window.text("#quiet"))


def test_its_own_policy_breaks_none_of_its_pages(window: Visit) -> None:
    """The walk above lets axe in; this one lets nobody in."""
    for path in ("/", f"/orders/{VIOLIN}", "/lag/payments"):
        window.go(path)
        window.page.wait_for_timeout(1_500)  # live parts have been renewed at least once
        window.assert_sound()


@pytest.mark.parametrize("id_", [VIOLIN, f"pay-{VIOLIN}", "offer-1", f"{VIOLIN}-refund.requested-"])
def test_an_order_is_found_and_explained(window: Visit, id_: str) -> None:
    if id_.endswith("-"):  # a fact's id ends in its time
        window.go(f"/orders/{VIOLIN}")
        found = re.search(rf"{re.escape(id_)}\d+", window.text())
        assert found is not None
        id_ = found[0]
    page = window.go("/")
    page.keyboard.press("/")
    page.keyboard.type(id_)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/orders/{VIOLIN}")
    text = window.text()
    assert "in mediation" in text
    assert "240.00 EUR held in escrow" in text
    assert "the mediator rules; the ruling is final" in text
    assert "request_open" in text
    assert "The neck is cracked." in text


def test_without_scripts_everything_can_be_read(chrome: Browser, line: Pipeline) -> None:
    assert line.web_url is not None
    with visit(chrome, line.web_url, java_script_enabled=False) as opened:
        page = opened.go("/")
        assert "Money" in opened.text("h1")
        page.fill("[data-find]", VIOLIN)
        page.press("[data-find]", "Enter")
        page.wait_for_url(f"**/orders/{VIOLIN}")


def test_a_webhook_that_was_given_up_is_sent_again_without_scripts(
    chrome: Browser, line: Pipeline
) -> None:
    assert line.web_url is not None
    with visit(chrome, line.web_url, java_script_enabled=False) as opened:
        page = opened.go("/webhooks")
        assert "desk does not take what it is told: HTTP 503" in opened.text("#verdict")
        page.get_by_role("link", name="see why, then have them sent again").click()
        assert "fact.refused" in opened.text("#given-up")
        assert "HTTP 410" in opened.text("#given-up")
        number = page.locator("input[name=n]").count()
        page.locator("input[name=n]").first.check()
        page.fill("#reason", "the archive is back")
        page.get_by_role("button", name="Send those chosen again").click()
        assert "1 will be sent again" in opened.text()

        def left() -> bool:
            page = opened.go("/webhooks")
            return page.locator("input[name=n]").count() == number - 1

        until(left)
        until(lambda: "sending" not in opened.go("/webhooks").inner_text("#receivers"))


def test_a_keyboard_is_enough(window: Visit) -> None:
    page = window.go("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")


def test_lag_rises_when_a_stage_stops_and_falls_when_it_is_back(
    window: Visit, line: Pipeline, record_property: Callable[[str, object], None]
) -> None:
    page = window.go("/lag/shipments")

    def shown() -> int:
        cells = page.locator("#partitions tbody tr td:nth-child(3)").all_inner_texts()
        return sum(int(cell.replace(",", "")) for cell in cells)

    until(lambda: shown() == 0)
    line.stop_program("shipments")
    publish(many_parcels(PARCELS, "risen"), line.settings)
    assert behind(line.settings, "shipments") == PARCELS
    record_property("seconds_to_show_the_rise", until(lambda: shown() == PARCELS))
    until(lambda: "no-members" in window.text())
    assert "escrow consume shipments" in window.text()
    line.start_program("shipments")
    until(lambda: behind(line.settings, "shipments") == 0)
    record_property("seconds_to_show_the_fall", until(lambda: shown() == 0))
    window.assert_sound()


def test_live_can_be_paused(window: Visit, line: Pipeline) -> None:
    page = window.go("/")
    page.click("[data-live-toggle]")
    assert page.inner_text("[data-live-toggle]") == "Paused"
    page.evaluate("document.querySelector('#stages h2').textContent = 'as it was'")
    page.wait_for_timeout(2_500)
    assert page.inner_text("#stages h2") == "as it was"
    page.click("[data-live-toggle]")
    until(lambda: page.inner_text("#stages h2") == "Stages")


def test_a_dead_letter_is_mended_and_its_order_is_paid(window: Visit, line: Pipeline) -> None:
    page = window.go(letter_of(window, SPOILT) + "/mend")
    value = page.input_value("#value")
    assert "42.5" in value
    page.fill("#value", value.replace("42.5", "4250"))
    page.get_by_role("button", name="What differs").click()
    assert '"amount_minor": 4250' in window.text(".diff")
    assert "applied" in window.text()
    page.fill("#reason", "minor units, told by the shop")
    page.get_by_role("button", name="Send it").click()
    assert "1 sent again" in window.text()
    line.wait_idle()
    window.go(f"/orders/{LAMP}")
    assert "42.50 EUR held in escrow" in window.text()


def test_dead_letters_are_replayed_after_a_look_at_what_would_become_of_them(
    window: Visit, line: Pipeline
) -> None:
    page = window.go("/dead-letters")
    place = page.locator("input[name=place]").first
    href = f"/dead-letters/{place.get_attribute('value')}"
    place.check()
    page.get_by_role("button", name="What would become of those chosen").click()
    assert "nothing was sent" in window.text()
    page.fill("#reason", "looking once more")
    page.get_by_role("button", name="Send 1 again").click()
    assert "1 sent again" in window.text()
    window.go(href)
    assert "replayed by olga" in window.text()
    assert "looking once more" in window.text()


def test_a_mediator_rules(window: Visit, line: Pipeline) -> None:
    page = window.go("/mediation")
    page.get_by_role("link", name=VIOLIN).click()
    page.check("input[value=refund_partial]")
    page.fill("#amount", "80.00")
    page.fill("#rationale", "The crack was there before.")
    page.get_by_role("button", name="What it would pay").click()
    assert "to the buyer 80.00 EUR to the supplier 160.00 EUR" in window.text()
    page.fill("#reason", "both sides heard")
    page.get_by_role("button", name="Issue this ruling").click()
    assert "The ruling is issued" in window.text()
    line.wait_idle()
    window.go(f"/orders/{VIOLIN}")
    assert "refunded 80.00 EUR paid out 160.00 EUR" in window.text()
