"""What the page costs: requests, bytes, time; and that nothing but itself may run in it."""

import base64
import os
import re
import time
from hashlib import sha256

import httpx
import pytest

from webui_image.server.page.assemble import page as assembled

expect = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed").expect


def test_light_and_quick(page, serve):
    """At most 3 requests and 100 KiB, all to this server, and usable within a second of a browser's work."""
    replica = serve()
    httpx.get(replica.url + "api/info")  # the first answer of a server is slower than all others
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})
    begun = time.perf_counter()
    page.goto(replica.url)
    page.wait_for_selector("#examples button")
    seconds = time.perf_counter() - begun
    figures = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    assert len(sent) <= 3
    assert all(url.startswith((replica.url, "data:")) for url in sent)
    assert len(assembled().html) + len(httpx.get(replica.url + "api/info").content) <= 100 * 1024
    assert 0 < figures["TaskDuration"] <= 1  # of the processor, which other programs do not lengthen much
    if os.getloadavg()[0] < (os.cpu_count() or 1):
        assert seconds <= 1


def test_only_the_page_itself_can_run(serve):
    """The policy names the one script and the one style by their hashes, and nothing else may be loaded or sent."""
    answer = httpx.get(serve().url)
    policy = answer.headers["content-security-policy"]
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", answer.text, re.DOTALL)
        digest = base64.b64encode(sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|style=|https?://(?!www\.w3\.org)", answer.text.split("<script")[0])


def test_it_is_packed_and_known_again(serve):
    """Browsers get it gzipped, and 304 where they have it."""
    url = serve().url
    first = httpx.get(url)
    assert first.headers["content-encoding"] == "gzip"
    assert httpx.get(url, headers={"Accept-Encoding": "identity"}).content == first.content == assembled().html
    again = httpx.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_nothing_is_parsed_as_markup():
    """Texts reach the document as text: the scripts have none of the ways to parse them."""
    source = assembled().html.decode()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "setHTML"):
        assert way not in source
