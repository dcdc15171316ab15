"""What alerts and dashboard go by, against a server that is watched under load."""
import json
import math
import re

import pytest
import yaml

from expressions import recorded_in, selectors_in
from stubs import REPO

DEPLOY = REPO / "deploy"


def expressions():
    """Of all rules, alerts and panels."""
    for name in ("rules.yml", "alerts.yml"):
        for group in yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]:
            yield from (rule["expr"] for rule in group["rules"])
    for panel in json.loads((DEPLOY / "grafana" / "hmar.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))


def recording_rules():
    for group in yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())["groups"]:
        yield from group["rules"]


RECORDED = [rule["record"] for rule in recording_rules()]


def test_selectors_are_found():
    assert selectors_in('sum(rate(hmar_x_total{job=~"$job", code=~"A|B"}[5m])) > 0 and up{job="hmar"} == 0 or a:hmar_y:b') == {
        "hmar_x_total", 'hmar_x_total{code="A"}', 'hmar_x_total{code="B"}', "up", 'up{job="hmar"}'}
    assert recorded_in("a:hmar_y:b > 2 or sum(hmar_z)") == {"a:hmar_y:b"}


def test_promtool_finds_nothing_to_say_about_the_page(promtool, watched):
    _, server = watched
    assert promtool("check", "metrics", stdin=server.metrics_text()) == ""


# This server has no TLS; tests/e2e/test_tls.py looks at one that has.
ONLY_WITH_TLS = {"hmar_certificate_expiration_timestamp_seconds"}


@pytest.mark.parametrize("selector", sorted(set().union(*map(selectors_in, expressions())) - ONLY_WITH_TLS))
def test_what_an_expression_selects_is_on_the_page(watched, selector):
    prometheus, _ = watched
    assert prometheus.wait_for(selector, bool)[0], f"no series is {selector}"


@pytest.mark.parametrize("outcome", ["done", "degraded", "cancelled", "expired"])
def test_images_end_in_every_way_that_the_load_has(watched, outcome):
    prometheus, _ = watched
    shown, values = prometheus.wait_for(f'sum(hmar_images_total{{outcome="{outcome}"}})', lambda values: max(values, default=0) > 0)
    assert shown, values


def test_the_operators_page_knows_each_reason_to_refuse(watched):
    prometheus, _ = watched
    reasons = {series["reason"] for series in prometheus.series("hmar_admission_rejected_total")}
    page = (DEPLOY / "prometheus" / "README.md").read_text()
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", page.partition("\n## HmarRefusing\n")[2].partition("\n## ")[0], re.MULTILINE))
    rule = next(rule["expr"] for rule in recording_rules() if rule["record"] == "reason:hmar_admission_rejected:ratio_rate5m")
    no_want_of_room = set(re.search(r'reason!~"([A-Z_|]+)"', rule)[1].split("|"))
    assert no_want_of_room < reasons
    assert reasons - no_want_of_room == rows


def test_recorded_series_that_are_used_are_recorded():
    assert set().union(*map(recorded_in, expressions())) <= set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_rule_records_under_load(watched, name):
    prometheus, _ = watched
    shown, values = prometheus.wait_for(name, lambda values: any(map(math.isfinite, values)))
    assert shown, f"{name} is {values}"


def test_all_rules_can_be_evaluated(watched):
    prometheus, _ = watched
    assert {rule["name"]: rule.get("lastError") for rule in prometheus.evaluated_rules() if rule["health"] != "ok"} == {}
