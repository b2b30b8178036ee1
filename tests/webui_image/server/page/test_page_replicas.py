"""The page behind a balancer that keeps nothing: replicas come and go, every request ends with its picture."""

import re

import pytest

from webui_image.server.settings import Access, Key
from webui_image.values.errors import NotReady

expect = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed").expect


def ready(page, url):
    """Open the page and wait until it can be used."""
    page.goto(url)
    page.wait_for_selector("#examples button")


def test_a_killed_replica_is_replaced_with_the_same_seed(page, serve, balance, screenshot):
    """The replica that draws goes away in the middle: the page says so, and another one draws the same picture."""
    first, second = serve(allowed=3), serve(allowed=3)
    ready(page, balance(first, second).url)
    page.fill("#prompt", "a red circle")
    page.click("#generate")
    expect(page.locator("#picture.rough")).to_be_visible()
    slow, other = (first, second) if first.engine.seen else (second, first)
    other.engine.refusal = NotReady("still loading", retry_after=1)  # so that the page is seen waiting
    slow.kill()
    expect(page.locator("#working-text")).to_have_text(re.compile("trying again with the same seed"))
    screenshot(page, "trying-again")
    other.engine.allow(None)
    other.engine.refusal = None
    expect(page.locator("#about")).to_be_visible()
    assert other.engine.seen[-1].seed == slow.engine.seen[0].seed
    expect(page.locator("#tiles li")).to_have_count(1)


def test_what_has_arrived_is_not_drawn_again(page, serve):
    """A request of three handed back after the first is asked for again from the second on: seed + 1, two pictures."""
    replica = serve(allowed=10)
    ready(page, replica.url)
    page.fill("#count", "3")
    page.fill("#prompt", "three of them")
    page.click("#generate")
    expect(page.locator("#tiles li img.small")).to_have_count(1)
    replica.engine.fail_at = 4
    replica.engine.allow(None)
    expect(page.locator("#tiles li img.small")).to_have_count(3)
    expect(page.locator("#tiles li")).to_have_count(3)
    first = replica.engine.seen[0].seed
    assert [(each.seed, each.count) for each in replica.engine.seen] == [(first, 3), (first + 1, 2)]


def test_a_full_queue_is_waited_for(page, serve):
    """429 with Retry-After: the page waits as long as it is told, then asks again."""
    replica = serve(limit=0)
    ready(page, replica.url)
    page.fill("#prompt", "patience")
    page.click("#generate")
    expect(page.locator("#working-text")).to_have_text(re.compile("The queue is full; trying again"))
    replica.engine.limit = 64
    expect(page.locator("#about")).to_be_visible()


def test_what_cannot_be_helped_is_said_and_can_be_tried_again(page, serve):
    """An error that sending again does not mend is shown at once; Try again sends the same request."""
    replica = serve()
    replica.engine.refusal = RuntimeError("a fault of our own")
    ready(page, replica.url)
    page.fill("#prompt", "broken")
    page.click("#generate")
    expect(page.locator("#trouble")).to_contain_text("the server made a mistake")
    replica.engine.refusal = None
    page.click("#again")
    expect(page.locator("#about")).to_be_visible()


@pytest.mark.parametrize("prefix", ["", "/sd"], ids=["root", "prefix"])
def test_two_replicas_without_affinity(page, serve, balance, prefix):
    """Each request of the page goes to another replica than the one before, and all end with their pictures."""
    replicas = [serve(prefix=prefix) for _ in range(2)]
    balancer = balance(*replicas)
    ready(page, balancer.url + prefix.strip("/"))  # without the slash at the end: the page's addresses have to hold
    for number in range(10):
        page.fill("#prompt", f"picture {number}")
        page.keyboard.press("Control+Enter")
    expect(page.locator("#tiles li img.small")).to_have_count(10)
    expect(page.locator("#tiles .state")).to_have_count(0)
    assert all(len(replica.engine.seen) >= 3 for replica in replicas)
    assert sum(len(replica.engine.seen) for replica in replicas) == 10


def test_a_key_is_asked_for(page, context, serve):
    """Where the page's key is no longer taken, the page asks for one and keeps it in this tab alone."""
    digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # sha256 of "key"
    replica = serve(access=Access(api_keys=(Key("robot", digest),)))
    page.route(
        replica.url, lambda route: route.continue_(headers={**route.request.headers, "authorization": "Bearer key"})
    )
    page.goto(replica.url)
    page.fill("#key", "wrong")
    page.click("#ask-yes")
    expect(page.locator("#key")).to_have_value("")
    page.fill("#key", "key")
    page.click("#ask-yes")
    page.wait_for_selector("#examples button")
    page.fill("#prompt", "with a key")
    page.click("#generate")
    expect(page.locator("#about")).to_be_visible()
    assert "Bearer" not in page.evaluate("JSON.stringify(localStorage)")
    assert context.cookies() == []
