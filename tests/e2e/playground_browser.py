"""The playground in a real browser: Debian's chromium, driven by playwright. Neither is of the usual set-up (tests/README.md)."""
import base64
import dataclasses
import io
import os
import pathlib
import urllib.request
import warnings

import numpy as np
import pytest
from PIL import Image

CHROMIUM = pathlib.Path("/usr/bin/chromium")
MISSING = "THE PLAYGROUND IS NOT TESTED: {} is missing; tests/README.md says how to install it"
WAIT_MS = 60_000

#: What a page must not do, noted from its first line on.
WATCH = """
window.violations = [];
addEventListener('securitypolicyviolation', (event) => window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""

#: Notes each label that a picture of a run had before it got another: what a screen reader would have read.
WATCH_LABELS = """
window.labels = [];
new MutationObserver((changes) => {
  for (const { target, oldValue } of changes) if (target.matches('.tile button')) window.labels.push(oldValue);
}).observe(document.getElementById('runs'), { subtree: true, attributes: true, attributeFilter: ['aria-label'], attributeOldValue: true });
"""


@dataclasses.dataclass(frozen=True)
class Site:
    """Where the page is, and the gRPC address of the same server."""

    url: str
    grpc: str
    server: object = None  #: The ServerProcess, unless the site was given from outside.


def site_from_environment():
    """HMAR_PAGE_URL and HMAR_PAGE_GRPC name a site that runs already, to work on the page; None: there is none."""
    url = os.environ.get("HMAR_PAGE_URL")
    return Site(url, os.environ.get("HMAR_PAGE_GRPC", "127.0.0.1:50051")) if url else None


def launch(playwright):
    return playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


def playwright_or_skip():
    """sync_playwright; where it, or the browser, is missing, the test is skipped and the run's summary has a warning."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    missing = "playwright" if sync_playwright is None else str(CHROMIUM) if not CHROMIUM.exists() else None
    if missing:
        warnings.warn(MISSING.format(missing), stacklevel=2)
        pytest.skip(MISSING.format(missing))
    return sync_playwright


def decode(data):
    """A picture file's pixels, H x W x 3."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def encode(pixels, kind="PNG", **save):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **save)
    return out.getvalue()


class Playground:
    """The page, as a user's hands and eyes have it. `trouble` is what a visit must end without."""

    def __init__(self, page, site):
        self.page = page
        self.site = site
        self.trouble = []
        self.refusals_expected = False  #: The browser itself logs answers that are errors.
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.trouble.append(f"page error: {error}"))
        page.add_init_script(WATCH)

    def _on_console(self, message):
        expected = self.refusals_expected and "Failed to load resource" in message.text
        if message.type in ("error", "warning") and not expected:
            self.trouble.append(f"console {message.type}: {message.text}")

    def open(self, asks_for_key=False):
        self.refusals_expected = asks_for_key
        self.page.goto(self.site.url)
        self.page.wait_for_selector("#key[open]" if asks_for_key else "#draw-button:not(:disabled)")
        return self

    def close(self):
        self.trouble += [f"policy: {violation}" for violation in self.page.evaluate("window.violations ?? []")]
        self.page.context.close()

    def fill(self, **fields):
        """Fields of the form of drawing by their ids; opens the advanced part."""
        self.page.evaluate("document.querySelector('#draw details').open = true")
        for name, value in fields.items():
            self.page.fill(f"#{name}", str(value))
        self.page.press("#class", "Escape")

    def draw(self, name="ship", seed=7, count=1, **fields):
        """Draws and waits for the end; returns the run, an article."""
        self.fill(**{"class": name}, seed=seed, count=count, **fields)
        self.page.click("#draw-button")
        return self.finished("#runs > article:first-child")

    def finished(self, selector, state="done"):
        self.page.wait_for_selector(f"{selector}[data-state={state}]")
        return self.page.locator(selector)

    def open_first(self):
        self.page.click("#runs > article:first-child .tile .picture")
        self.page.wait_for_selector("#workbench[open]")

    def generate(self, panel="edit"):
        """Submits a form of the dialog, waits for its run to end."""
        self.page.click(f"#panel-{panel} .primary")
        self.finished("#bench-runs > article:first-child")

    def saved(self, link):
        """The bytes that a link of a picture saves."""
        with self.page.expect_download() as download:
            link.click()
        return pathlib.Path(download.value.path()).read_bytes()

    def on_stage(self):
        """The bytes of the picture on the stage."""
        return self.saved(self.page.locator("#download"))

    def region(self):
        """What is marked on the canvas, H x W booleans."""
        width, height, marked = self.page.evaluate("""() => {
          const canvas = document.getElementById('region');
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return [canvas.width, canvas.height, [...data].filter((_, i) => i % 4 === 3)];
        }""")
        return np.array(marked).reshape(height, width) > 0

    def drag(self, *points):
        """Over the canvas, along points in its pixels."""
        canvas = self.page.locator("#region")
        box, width = canvas.bounding_box(), canvas.evaluate("canvas => canvas.width")
        scale = box["width"] / width
        places = [(box["x"] + x * scale, box["y"] + y * scale) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def drop(self, data, name, kind):
        """Drops a file onto the page."""
        self.page.evaluate("""([base64, name, type]) => {
          const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type }));
          for (const kind of ['dragenter', 'dragover', 'drop']) {
            document.body.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer }));
          }
        }""", [base64.b64encode(data).decode(), name, kind])

    def overflow(self):
        """Pixels by which the page, and the dialog if it is open, are wider than what shows them."""
        return self.page.evaluate("""() => [document.documentElement, document.getElementById('workbench')]
          .map((element) => element.scrollWidth - element.clientWidth)""")


def header(url, name):
    with urllib.request.urlopen(url, timeout=30) as response:
        return response.headers[name]
