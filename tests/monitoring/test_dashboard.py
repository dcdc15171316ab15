"""deploy/grafana/hmar.json: made by its script, and full of something when a server is busy."""
import importlib.util
import itertools
import json
import math

import pytest

from stubs import REPO

FILE = REPO / "deploy" / "grafana" / "hmar.json"
PANELS = [panel for panel in json.loads(FILE.read_text())["panels"] if panel["type"] != "row"]

# Panels of what a server in order has none of: zero will do, but not nothing at all.
MAY_BE_ZERO = {
    "Faults": "no request fails by the server's fault",
    "Connections closed at once": "the load makes no more connections than are taken",
    "Log lines lost": "the test reads the log",
}
# Panels that may show nothing, with the reason. None: the CPU engine tells of its memory, too.
MAY_BE_EMPTY = {
    "Device seconds a second, by key": "the server asks for no keys",
    "Images by key": "likewise",
}


def expressions_of(panel):
    """As Grafana would send them, with every job, server and model chosen."""
    for target in panel["targets"]:
        expression = target["expr"]
        for name, value in {"$job": ".*", "$instance": ".*", "$model": ".*", "$__rate_interval": "20s"}.items():
            expression = expression.replace(name, value)
        assert "$" not in expression
        yield expression


def test_the_file_is_what_the_script_makes():
    spec = importlib.util.spec_from_file_location("make_dashboard", FILE.parent / "make_dashboard.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert FILE.read_text() == script.text(), "run deploy/grafana/make_dashboard.py"


def test_panels_lie_side_by_side():
    cells = set()
    for panel in json.loads(FILE.read_text())["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        own = set(itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])))
        assert not own & cells, panel["title"]
        cells |= own


def test_titles_and_ids_are_unique_and_exceptions_exist():
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert MAY_BE_ZERO.keys() | MAY_BE_EMPTY.keys() <= set(titles)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_no_panel_is_empty_under_load(watched, panel):
    prometheus, _ = watched
    least = 0 if panel["title"] in MAY_BE_ZERO else 1e-9
    for expression in expressions_of(panel):
        if panel["title"] in MAY_BE_EMPTY:
            prometheus.query(expression)  # Is one.
            continue
        shown, values = prometheus.wait_for(
            expression, lambda values: any(math.isfinite(value) and value >= least for value in values))
        assert shown, f"{expression} shows {values}"
