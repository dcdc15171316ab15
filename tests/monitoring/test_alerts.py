"""deploy/prometheus as an operator would use it: promtool accepts it, its tests pass, nothing in it is without the rest."""
import re

import pytest
import yaml

from stubs import REPO

FOLDER = REPO / "deploy" / "prometheus"


def rules_of(name):
    return [rule for group in yaml.safe_load((FOLDER / name).read_text())["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules_of("alerts.yml")}


def promtool_tests_of(alert):
    """(name, the samples that are expected) of each of its tests."""
    expression = f'ALERTS{{alertname="{alert}",alertstate="firing"}}'
    for test in yaml.safe_load((FOLDER / "alerts_test.yml").read_text())["tests"]:
        for one in test["promql_expr_test"]:
            if one["expr"] == expression:
                yield test["name"], one["exp_samples"]


def test_promtool_accepts_the_configuration_and_the_rules(promtool):
    output = promtool("check", "config", FOLDER / "prometheus.yml")
    assert "SUCCESS: 2 rule files found" in output
    for name in ("rules.yml", "alerts.yml"):
        assert f"SUCCESS: {len(rules_of(name))} rules found" in promtool("check", "rules", FOLDER / name)


def test_each_alert_fires_and_stays_silent_when_it_should(promtool):
    assert "SUCCESS" in promtool("test", "rules", FOLDER / "alerts_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_tests_of_both_kinds(alert):
    tests = list(promtool_tests_of(alert))
    assert any(samples for _, samples in tests), f"no test makes {alert} fire"
    assert any(not samples for _, samples in tests), f"no test leaves {alert} silent"
    assert all(name.startswith(alert + " ") for name, _ in tests)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_tells_what_it_means_and_what_to_do(alert):
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    file, _, heading = rule["annotations"]["runbook"].partition("#")
    assert heading == alert.lower()
    sections = re.split(r"^## ", (REPO / file).read_text(), flags=re.MULTILINE)
    (section,) = [text for text in sections if text.startswith(alert + "\n")]
    for part in ("**Means**", "**Look at**", "**Do**"):
        assert part in section, f"{alert}: nothing under {part}"


def test_the_operators_page_has_no_section_without_an_alert():
    page = (FOLDER / "README.md").read_text().partition("\n# Alerts\n")[2]
    assert set(re.findall(r"^## (\w+)$", page, flags=re.MULTILINE)) == set(ALERTS)
