"""The page for everybody: with the keyboard alone, on a phone, for a screen reader, in both themes."""

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed").expect

# Computed in the page: colours as the browser resolves them, blended over what lies beneath.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const ground = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const texts = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
    const seen = node.checkVisibility({ checkVisibilityCSS: true }) && !node.closest("option, .sr, .skips, noscript");
    if (!texts || !seen) continue;
    found.push([ratio(rgba(getComputedStyle(node).color), ground(node)), node.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""

UNNAMED = """() => {
  const named = (node) => node.labels?.length || node.getAttribute("aria-label") || node.getAttribute("aria-labelledby")
    || node.textContent.trim() || node.getAttribute("alt");
  return [...document.querySelectorAll("button, a[href], input, select, textarea, summary, canvas[tabindex], progress")]
    .filter((node) => !node.hidden && !node.closest("[hidden]") && !named(node))
    .map((node) => node.outerHTML.slice(0, 120));
}"""


def ready(page, url):
    """Open the page and wait until it can be used."""
    page.goto(url)
    page.wait_for_selector("#examples button")


def test_the_keyboard_alone_is_enough(page, serve):
    """Skip link, prompt, Control and Enter, Escape, the pictures with arrows, and Delete: no pointer is needed."""
    replica = serve(allowed=2)
    ready(page, replica.url)
    page.keyboard.press("Tab")
    expect(page.locator(".skips a").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("to be stopped")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#picture.rough")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#live")).to_have_text("Stopped")
    replica.engine.allow(None)
    for number in range(2):
        page.keyboard.press("Control+a")
        page.keyboard.type(f"picture {number}")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#tiles li img.small")).to_have_count(number + 1)
    page.keyboard.press("Shift+Tab")  # the focus is a ring that can be seen
    width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(width.removesuffix("px")) >= 2
    page.locator("#tiles button").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#about-prompt")).to_have_text("picture 0")
    page.keyboard.press("Delete")
    expect(page.locator("#tiles li")).to_have_count(1)
    expect(page.locator("#tiles button")).to_be_focused()


def test_a_phone_has_room(page, serve, screenshot):
    """At 360 pixels nothing is wider than the screen, the picture comes into view, and fingers find the buttons."""
    page.set_viewport_size({"width": 360, "height": 740})
    replica = serve(allowed=4)
    ready(page, replica.url)
    screenshot(page, "phone")
    page.fill("#prompt", "a red circle")
    page.click("#generate")
    expect(page.locator("#picture.rough")).to_be_in_viewport()
    screenshot(page, "phone-generating")
    replica.engine.allow(None)
    expect(page.locator("#about")).to_be_visible()
    screenshot(page, "full-phone")
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.evaluate(
        """() => [...document.querySelectorAll("main button, main summary, main .button, main select")]
          .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 32)
          .map((each) => each.id)"""
    )
    assert small == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(page, serve, scheme):
    """Every visible text stands out from its ground by 4.5 to 1 at least, with a picture and all folds open."""
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    ready(page, serve().url)
    page.fill("#prompt", "a red circle")
    page.click("#generate")
    expect(page.locator("#about")).to_be_visible()
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    measured = page.evaluate(CONTRASTS)
    assert len(measured) > 30
    assert [each for each in measured if each[0] < 4.5] == []
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce", contrast="more")
    assert min(each[0] for each in page.evaluate(CONTRASTS)) > 4.5


def test_a_screen_reader_finds_its_way(page, serve):
    """Landmarks, one first heading, a name for every control, and progress told in a polite region."""
    replica = serve(allowed=4)
    ready(page, replica.url)
    page.evaluate("() => document.querySelectorAll('details').forEach((each) => (each.open = true))")
    assert page.evaluate(UNNAMED) == []
    for selector in ("main", "header", "nav[aria-label]", "html[lang=en]", "#live[aria-live=polite]"):
        assert page.locator(selector).count() == 1, selector
    assert page.locator("h1").count() == 1
    assert page.locator("#composer").evaluate("each => each.scrollWidth <= each.clientWidth")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
    assert len(ids) == len(set(ids))
    page.fill("#prompt", "a red circle")
    page.click("#generate")
    expect(page.locator("#live")).to_have_text("50 % drawn")
    replica.engine.allow(None)
    expect(page.locator("#live")).to_have_text("1 picture finished: a red circle")
    expect(page.locator("#picture")).to_have_attribute("alt", "a red circle")


def test_the_switch_overrules_the_system(page, serve):
    """Auto, light, dark in turn; the choice outlives a reload; nothing moves for those who want no motion."""
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    ready(page, serve().url)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.click("#theme")
    assert page.evaluate(ground) != light
    page.reload()
    assert page.evaluate(ground) != light
    assert page.evaluate("getComputedStyle(document.querySelector('#generate')).transitionDuration") == "0s"
