"""The page in a real browser: from a prompt to a picture that is kept."""

import re

import pytest

from webui_image.values.ports import Phase

expect = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed").expect


def ready(page, url):
    """Open the page and wait until it can be used."""
    page.goto(url)
    page.wait_for_selector("#examples button")


def generate(page, prompt="a red circle", seed=None):
    """Ask for a picture and wait until it stands there."""
    page.fill("#prompt", prompt)
    if seed is not None:
        page.locator("#fold-seed").evaluate("each => each.open = true")
        page.fill("#seed", str(seed))
    page.click("#generate")
    expect(page.locator("#about-prompt")).to_have_text(prompt)
    expect(page.locator("#about")).to_be_visible()


def fact(page, name):
    """Read one of the facts under the picture."""
    return page.locator("#about-list div", has=page.locator(f"dt:text-is('{name}')")).locator("dd").inner_text()


def test_a_picture_appears_step_by_step(page, serve, screenshot):
    """After Generate a preview with its progress, then the picture, sharp and in whole multiples, and its tile."""
    replica = serve(allowed=3)
    ready(page, replica.url)
    page.click("#examples button >> nth=0")
    page.click("#generate")
    expect(page.locator("#picture.rough")).to_be_visible()
    expect(page.locator("#working-text")).to_have_text("Step 3 of 8")
    assert float(page.locator("#bar").evaluate("each => each.value")) == 3 / 8
    screenshot(page, "generating")
    replica.engine.allow(None)
    expect(page.locator("#picture.small")).to_be_visible()
    expect(page.locator("#picture")).to_have_attribute("alt", "a red circle on a white background")
    assert page.locator("#picture").evaluate("each => each.getBoundingClientRect().width") in range(256, 1024, 64)
    assert page.locator("#picture").evaluate("each => getComputedStyle(each).imageRendering") == "pixelated"
    expect(page.locator("#working")).to_be_hidden()
    expect(page.locator("#tiles li")).to_have_count(1)
    assert fact(page, "Seed") == str(replica.engine.seen[0].seed)
    assert fact(page, "Drawn") == "europe-west4, nvidia-l4, 0.1.0"
    screenshot(page, "desktop-light")
    page.emulate_media(color_scheme="dark")
    screenshot(page, "desktop-dark")


def test_stop_stops(page, serve):
    """Stop ends the request at the server within a second, and the page is as before."""
    replica = serve(allowed=3)
    ready(page, replica.url)
    page.fill("#prompt", "never finished")
    page.click("#generate")
    expect(page.locator("#picture.rough")).to_be_visible()
    page.click("#stop")
    expect(page.locator("#empty")).to_be_visible()
    expect(page.locator("#tiles li")).to_have_count(0)
    assert replica.engine.wait_until(lambda: replica.engine.cancelled == 1, 60)


def test_several_requests_queue_in_one_page_and_in_a_second_tab(page, context, serve, screenshot):
    """Each request has its tile at once; the second tab's request is told how many are before it."""
    replica = serve(allowed=0)
    ready(page, replica.url)
    for number in range(4):
        page.fill("#prompt", f"picture {number}")
        page.keyboard.press("Control+Enter")
    expect(page.locator("#tiles .state")).to_have_count(4)
    other = context.new_page()
    ready(other, replica.url)
    other.fill("#prompt", "from the second tab")
    other.click("#generate")
    expect(other.locator("#working-text")).to_have_text("In the queue, 3 requests before yours")
    screenshot(page, "queue")
    replica.engine.allow(None)
    expect(other.locator("#about-prompt")).to_have_text("from the second tab")
    expect(page.locator("#tiles .state")).to_have_count(0)
    expect(page.locator("#tiles li")).to_have_count(5)  # both tabs keep in one place


def test_a_reload_keeps_the_pictures_and_the_settings(page, serve, screenshot):
    """After a reload the tiles, the prompt and the settings are there; a tile brings back picture and facts."""
    replica = serve()
    ready(page, replica.url)
    for number in range(3):
        generate(page, f"picture {number}")
    page.locator("#fold-size").evaluate("each => each.open = true")
    page.fill("#steps", "5")
    page.reload()
    expect(page.locator("#tiles li")).to_have_count(3)
    expect(page.locator("#prompt")).to_have_value("picture 2")
    expect(page.locator("#steps")).to_have_value("5")
    page.get_by_role("button", name="picture 0").click()
    expect(page.locator("#picture")).to_be_visible()
    assert fact(page, "Seed") == str(replica.engine.seen[0].seed)
    screenshot(page, "gallery")


def test_pictures_can_be_deleted(page, serve):
    """One is deleted at once, all after a question; what looks like markup in a prompt is text all the way."""
    ready(page, serve().url)
    for number in range(3):
        generate(page, f'<img src=x onerror="document.title={number}"> & <b>bold</b> {number}')
    assert page.title() == "GPU Hunter pictures"
    page.click("#delete")
    expect(page.locator("#tiles li")).to_have_count(2)
    page.click("#delete-all")
    page.click("#ask-no")
    expect(page.locator("#tiles li")).to_have_count(2)
    page.click("#delete-all")
    page.click("#ask-yes")
    expect(page.locator("#tiles li")).to_have_count(0)
    page.reload()
    page.wait_for_selector("#examples button")
    expect(page.locator("#tiles li")).to_have_count(0)


def test_a_dropped_png_fills_the_form(page, serve):
    """A picture saved from the page and dropped on another one brings its settings back, without being uploaded."""
    replica = serve()
    ready(page, replica.url)
    generate(page, "ein Haus, größer\nas two lines", seed=77)
    with page.expect_download() as download:
        page.click("#download")
    content = download.value.path().read_bytes()
    page.evaluate("() => { localStorage.clear(); }")
    page.goto("about:blank")
    page.goto(replica.url)
    page.wait_for_selector("#examples button")
    page.fill("#prompt", "something else")
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    page.evaluate(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        list(content),
    )
    expect(page.locator("#prompt")).to_have_value("ein Haus, größer\nas two lines")
    expect(page.locator("#seed")).to_have_value("77")
    assert not [url for url in sent if url.startswith("http")]
    page.click("#generate")
    expect(page.locator("#tiles li")).to_have_count(2)
    assert replica.engine.wait_until(lambda: len(replica.engine.seen) == 2, 60)
    first, second = replica.engine.seen
    assert (first.prompt, first.seed, first.steps) == (second.prompt, second.seed, second.steps)
    page.click("#toast-action")
    expect(page.locator("#prompt")).to_have_value("something else")


def request_number(page, replica, number):
    """Give what the engine was asked for; a tile is there before its request has arrived."""
    for _ in range(1200):
        if len(replica.engine.seen) >= number:
            break
        page.wait_for_timeout(50)
    return replica.engine.seen[number - 1]


def test_a_picture_is_the_start_of_the_next(page, serve, screenshot):
    """Use as start, a mask painted with the pointer and then with the keyboard: the requests carry them."""
    replica = serve()
    ready(page, replica.url)
    generate(page)
    page.click("#use-start")
    expect(page.locator("#start-image")).to_be_visible()
    page.click("#mask-edit")
    box = page.locator("#paint").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    screenshot(page, "mask")
    page.click("#paint-done")
    expect(page.locator("#sum-start")).to_have_text("with a mask")
    page.fill("#denoising_strength", "0.5")
    page.click("#generate")
    expect(page.locator("#tiles li")).to_have_count(2)
    source = request_number(page, replica, 2).source
    assert source.image.size == (64, 64)
    assert source.denoising_strength == 0.5
    assert source.mask.image.getpixel((32, 32)) == 255
    assert source.mask.image.getpixel((2, 2)) == 0
    page.click("#mask-edit")
    page.click("#paint-clear")
    page.focus("#paint")
    for key in ("ArrowUp", "ArrowUp", "Space"):
        page.keyboard.press(key)
    page.click("#paint-done")
    expect(page.locator("#painter")).to_be_hidden()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#tiles li")).to_have_count(3)
    keyed = request_number(page, replica, 3).source.mask.image
    assert keyed.getpixel((32, 24)) == 255
    assert keyed.getpixel((26, 32)) == 0


def test_variations_and_enlarging(page, serve):
    """Variations keep the seed and vary it; Enlarge asks for the same picture with a second pass."""
    replica = serve()
    ready(page, replica.url)
    generate(page)
    seed = replica.engine.seen[0].seed
    page.click("#vary")
    expect(page.locator("#tiles li")).to_have_count(5)
    varied = request_number(page, replica, 2)
    assert (varied.seed, varied.count, varied.variation.strength) == (seed, 4, 0.2)
    page.get_by_role("button", name="a red circle").last.click()
    page.click("#enlarge")
    expect(page.locator("#tiles li")).to_have_count(6)
    third = request_number(page, replica, 3)
    assert (third.seed, third.hires.scale) == (seed, 2)


def test_a_mistake_is_shown_at_its_field(page, serve):
    """What the server refuses stands at the field, which is opened, marked and focused; mending it clears it."""
    ready(page, serve().url)
    page.locator("#fold-size").evaluate("each => each.open = true")
    page.fill("#width", "65")
    page.locator("#fold-size").evaluate("each => each.open = false")
    page.click("#generate")
    expect(page.locator("#width-error")).to_have_text(re.compile("65 is not a multiple of 8"))
    expect(page.locator("#width")).to_be_focused()
    expect(page.locator("#width")).to_have_attribute("aria-invalid", "true")
    page.fill("#width", "64")
    expect(page.locator("#width-error")).to_be_hidden()


def test_a_page_that_is_early_waits_for_the_model(page, serve):
    """While the replica loads, the page says how far it is, and goes on by itself."""
    replica = serve(phase=Phase.LOADING)
    page.goto(replica.url)
    expect(page.locator("#phase-text")).to_have_text("The server is not ready yet: loading")
    replica.engine.phase = Phase.READY
    expect(page.locator("#phase")).to_be_hidden()
