"""The playground for everybody: by keyboard alone, by what a screen reader is told, on small and dark screens."""
import re

import pytest

from playground_browser import header

#: Roles whose nodes one operates: each needs a name.
OPERATED = {"button", "link", "textbox", "combobox", "listbox", "option", "slider", "spinbutton", "radio", "tab", "dialog",
            "application", "DisclosureTriangle", "searchbox", "menuitem", "checkbox", "progressbar", "form", "tabpanel"}

#: Every text that can be seen, with its contrast and the least it may have (WCAG 2, AA).
CONTRASTS = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((value, i) => value * a + under[i] * (1 - a));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const colour = channels(getComputedStyle(element).backgroundColor);
    return colour[3] === 0 ? behind(element.parentElement) : over(colour, colour.length === 4 ? behind(element.parentElement) : colour);
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const field = (element) => element.matches('input:not([type=range], [type=radio], [type=file]), select, textarea');
  const top = document.querySelector('dialog[open]') ?? document;
  return [...top.querySelectorAll('*')].filter((element) => (own(element) || field(element)) && element.checkVisibility()
      && !element.disabled && !element.closest('.hidden, .skip, [aria-hidden=true], option, script, style')).map((element) => {
    const style = getComputedStyle(element);
    const ground = behind(element);
    const [lighter, darker] = [luminance(over(channels(style.color), ground)), luminance(ground)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    return [element.textContent.trim().slice(0, 40) || element.id, (lighter + 0.05) / (darker + 0.05), large ? 3 : 4.5];
  });
}"""


def everywhere(playground):
    """Goes through all that the page can show; yields the name of each place."""
    page = playground.page
    yield "empty"
    page.click("#draw details summary")
    page.select_option("#schedule", "custom")
    yield "form"
    page.select_option("#schedule", "default")
    page.click("#class")
    yield "classes"
    playground.draw("bird", seed=7, count=2)
    yield "runs"
    playground.open_first()
    yield "edit"
    page.get_by_text("Brush", exact=True).click()
    yield "brush"
    page.get_by_text("Box", exact=True).click()
    playground.generate()
    yield "result"
    page.click("#tab-branch")
    yield "branch"
    page.click("#tab-receipt")
    page.click("#panel-receipt summary")
    yield "receipt"
    page.click("#tab-commands")
    yield "commands"


def nameless(playground):
    nodes = playground.page.context.new_cdp_session(playground.page).send("Accessibility.getFullAXTree")["nodes"]
    return [(node["role"]["value"], node.get("backendDOMNodeId")) for node in nodes
            if not node["ignored"] and node["role"]["value"] in OPERATED and not node.get("name", {}).get("value", "").strip()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_control_has_a_name_and_every_text_can_be_read(visit, scheme, screenshot):
    playground = visit(color_scheme=scheme)
    for place in everywhere(playground):
        screenshot(playground, f"{scheme}-{place}")
        assert nameless(playground) == [], place
        contrasts = playground.page.evaluate(CONTRASTS)
        assert contrasts and [entry for entry in contrasts if entry[1] < entry[2]] == [], place


def test_the_theme_may_be_chosen_and_stays(visit):
    playground = visit(color_scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = playground.page.evaluate(ground)
    playground.page.select_option("#theme", "dark")
    dark = playground.page.evaluate(ground)
    playground.page.reload()
    assert playground.page.evaluate(ground) == dark != light
    playground.page.select_option("#theme", "auto")
    assert playground.page.evaluate(ground) == light


def test_small_pictures_are_crisp_unless_smooth_is_chosen(playground):
    playground.draw()
    rendering = "getComputedStyle(document.querySelector('.tile img')).imageRendering"
    assert playground.page.evaluate(rendering) == "pixelated"
    playground.page.click("#pixels")
    assert playground.page.evaluate(rendering) == "auto"


@pytest.mark.parametrize("width, height", [(320, 640), (768, 1024)])
def test_nothing_is_wider_than_the_screen(visit, screenshot, width, height):
    playground = visit(width=width, height=height)
    for place in everywhere(playground):
        screenshot(playground, f"{width}-{place}")
        assert playground.overflow() == [0, 0], place


def test_nothing_moves_for_who_wants_it_still(visit):
    playground = visit(reduced_motion="reduce")
    playground.page.evaluate("document.body.append(Object.assign(document.createElement('figure'), { className: 'tile waiting' }))")
    playground.page.evaluate("document.querySelector('figure.waiting').innerHTML = '<button class=picture></button>'")
    assert playground.page.evaluate("document.getAnimations().length") == 0


def focused(page):
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id")


def tab_until(page, wanted):
    """Presses Tab until this is focused; every stop on the way can be seen."""
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(focused(page))
        assert page.evaluate("""() => {
          const { activeElement: element } = document;
          const around = element.closest('.file, .segments label, .stage') ?? element;
          return element === document.body || getComputedStyle(around).outlineStyle !== 'none';
        }"""), f"the focus on {stops[-1]!r} cannot be seen"
        if stops[-1] == wanted:
            return
    raise AssertionError(f"Tab never came to {wanted!r}: {stops}")


def test_all_of_it_works_by_keyboard_alone(playground):
    page, keyboard = playground.page, playground.page.keyboard
    tab_until(page, "class")
    keyboard.type("ho")
    keyboard.press("ArrowDown")
    active = page.get_attribute("#class", "aria-activedescendant")
    assert page.text_content(f"#{active}") == "horse" and page.get_attribute("#class", "aria-expanded") == "true"
    keyboard.press("Enter")
    assert page.input_value("#class") == "horse" and page.get_attribute("#class", "aria-expanded") == "false"
    tab_until(page, "seed")
    keyboard.type("3")
    keyboard.press("Enter")
    playground.finished("#runs > article:first-child")
    assert "horse: 4 pictures in " in page.text_content("#announcer")
    tab_until(page, "horse, seed 4: open")
    keyboard.press("Enter")
    page.wait_for_selector("#workbench[open]")
    tab_until(page, "Region of horse, seed 4")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowDown")
    keyboard.press("Shift+ArrowRight")
    assert [page.input_value(f"#{corner}") for corner in ("x0", "y0", "x1", "y1")] == ["9", "9", "26", "25"]
    assert page.text_content("#bench-announcer") == "Box 9, 9, 26, 25"
    tab_until(page, "tab-edit")
    keyboard.press("ArrowRight")
    assert focused(page) == "tab-branch" and page.is_visible("#panel-branch")
    keyboard.press("ArrowLeft")
    tab_until(page, "edit-class")
    keyboard.type("dog")
    keyboard.press("Escape")
    assert page.is_visible("#workbench"), "Escape closes the list first"
    tab_until(page, "edit-seed")
    keyboard.press("Enter")
    playground.finished("#bench-runs > article:first-child")
    keyboard.press("Escape")
    page.wait_for_selector("#workbench", state="hidden")
    assert focused(page) == "horse, seed 4: open", "the focus is back where it was"


def test_a_mask_is_painted_by_keyboard_alone(playground):
    page, keyboard = playground.page, playground.page.keyboard
    playground.draw()
    playground.open_first()
    page.focus("[name=tool][value=box]")
    keyboard.press("ArrowRight")
    page.focus("#region")
    keyboard.press("Space")
    keyboard.press("ArrowLeft")
    keyboard.press("Space")
    region = playground.region()
    assert region[16, 16] and region.any(0).sum() == 5 and region.any(1).sum() == 4, "a brush of 4 pixels, twice"
    playground.generate()


def test_classes_are_found_by_typing_or_by_number(playground):
    found = playground.page.evaluate("""async () => {
      const { matching } = await import('/combobox.js');
      const classes = ['tench', 'Great white shark', 'white wolf', 'zebra'];
      return ['', 'WHITE', '3', 'none'].map((text) => matching(classes, text));
    }""")
    classes = ["tench", "Great white shark", "white wolf", "zebra"]
    assert found == [classes, ["white wolf", "Great white shark"], ["zebra"], []]


def test_the_page_keeps_to_its_policy(playground):
    policy = header(playground.site.url, "content-security-policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    sent = playground.page.request.get(playground.site.url).text()
    assert "<script type=" in sent and not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", sent)
