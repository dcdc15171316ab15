"""Values that do not fit: each is refused while templates are rendered, by a sentence that says what to do."""
import json
import re

import pytest
import yaml

from helm_chart import CHART, EXAMPLES, HelmChart, option_rows, server_of

MODEL = {"name": "m", "path": "/models/m"}
FETCH = {"init": {"image": "fetch"}}
# Name: values, and what the refusal says of them.
REFUSED = {
    "a drain longer than the grace period": (
        {"drain": {"seconds": 60, "gracePeriodSeconds": 30}},
        "drain.gracePeriodSeconds is 30, and preStopSeconds, delaySeconds, seconds and the 10 s in which the server ends add up to 80"),
    "hpa and keda": ({"autoscaling": {"hpa": True, "keda": True, "prometheusAddress": "http://prometheus:9090"}},
                     "autoscaling.hpa and autoscaling.keda are both on"),
    "replicas beside hpa": ({"replicas": 3, "autoscaling": {"hpa": True}}, "replicas is 3 while autoscaling is on"),
    "replicas beside keda": ({"replicas": 1, "autoscaling": {"keda": True, "prometheusAddress": "http://prometheus:9090"}},
                             "replicas is 1 while autoscaling is on"),
    "more replicas at least than at most": ({"autoscaling": {"hpa": True, "minReplicas": 11}},
                                            "autoscaling.minReplicas is 11, more than its maxReplicas, 10"),
    "keda without Prometheus": ({"autoscaling": {"keda": True}}, "autoscaling.prometheusAddress does not say where that is"),
    "an upgrade that cannot begin": ({"rollingUpdate": {"maxSurge": "0%"}}, "rollingUpdate.maxSurge and maxUnavailable are both 0"),
    "cuda without a GPU": ({"device": "cuda"}, "device is cuda, and resources.limits has no GPU: give it nvidia.com/gpu"),
    "a GPU without cuda": ({"resources": {"limits": {"nvidia.com/gpu": 2}}}, "resources.limits takes 2 GPU(s), and device is cpu"),
    "fp8 on a CPU": ({"models": [{"name": "m", "path": "/m", "precision": "fp8"}]}, "the precision of model m is fp8, and device is cpu"),
    "a name twice": ({"models": [{"name": "m", "path": "/a"}, {"name": "m", "path": "/b"}]}, "models has a name twice: m, m"),
    "two sources of models": ({"models": [MODEL], "modelVolume": {"persistentVolumeClaim": "claim", **FETCH},
                               "networkPolicy": {"egress": [{}]}}, "modelVolume has 2 sources, claim, fetch"),
    "models from nowhere": ({"models": [MODEL]}, "a model's path is /models/m, and nothing is mounted at /models"),
    "a volume without a model": ({"modelVolume": {"persistentVolumeClaim": "claim"}},
                                 "modelVolume mounts claim at /models, and no model's path begins with that"),
    "an image as a volume, too early": ({"models": [MODEL], "modelVolume": {"image": "models:1"}},
                                        "modelVolume.image needs Kubernetes 1.33, and this is v1.32: use init.image"),
    "fetching through a closed door": ({"models": [MODEL], "modelVolume": FETCH},
                                       "modelVolume.init.image fetches models, and networkPolicy.egress lets it reach nobody"),
    "loopback": ({"listenAddress": "127.0.0.1"}, "listenAddress is 127.0.0.1, which only the pod itself reaches"),
    "loopback by name": ({"listenAddress": "localhost"}, "listenAddress is localhost, which only the pod itself reaches"),
    "a balancer that nobody gets through": ({"service": {"type": "LoadBalancer"}, "tls": {"allowPlaintext": True}},
                                            "service.type is LoadBalancer, and networkPolicy.clients has no ipBlock"),
    "TLS without a Secret": ({"tls": {"enabled": True}}, "tls.enabled needs tls.secretName"),
    "a Secret without TLS": ({"tls": {"secretName": "hmar-tls"}}, "tls.secretName is hmar-tls, and tls.enabled is false"),
    "clients' certificates without TLS": ({"tls": {"clientCaSecretName": "ca"}},
                                          "tls.clientCaSecretName is ca, and tls.enabled is false"),
    "probes without a certificate": ({"tls": {"enabled": True, "secretName": "hmar-tls", "clientCaSecretName": "ca"}},
                                     "tls.clientCaSecretName asks every client for a certificate, and the probes have none"),
    "keys that can be read": ({"keys": {"secretName": "hmar-keys"}},
                              "keys.secretName is hmar-keys, and without tls.enabled keys can be read on the way"),
    "strangers without TLS": ({"service": {"type": "NodePort"}, "networkPolicy": {"enabled": False}},
                              "service.type is NodePort, which strangers reach, and without tls.enabled nothing is encrypted"),
    "scraping nothing": ({"metrics": {"enabled": False}, "serviceMonitor": {"enabled": True}},
                         "serviceMonitor.enabled is set, and metrics.enabled is false"),
    "scaling by nothing": ({"metrics": {"enabled": False}, "autoscaling": {"hpa": True}}, "autoscaling.hpa is set, and metrics.enabled is"),
    "Prometheus without its password": ({"metrics": {"htpasswdSecretName": "passwords"}, "serviceMonitor": {"enabled": True}},
                                        'metrics.htpasswdSecretName is "passwords" and serviceMonitor.basicAuthSecretName ""'),
}
# Values that one key alone may not have: where, and what the schema says of it.
WRONG = {
    "no replica": ({"replicas": 0}, "/replicas"),
    "scaling to nothing": ({"autoscaling": {"minReplicas": 0}}, "/autoscaling/minReplicas"),
    "a budget that keeps nodes from being emptied": ({"disruptionBudget": {"maxUnavailable": 0}}, "/disruptionBudget/maxUnavailable"),
    "no model": ({"models": []}, "/models"),
    "a model without a path": ({"models": [{"name": "m"}]}, "missing property 'path'"),
    "an architecture that there is not": ({"models": [{**MODEL, "architecture": "hmar-d17"}]}, "/models/0/architecture"),
    "a device that there is not": ({"device": "tpu"}, "/device"),
    "no time to load": ({"startup": {"loadSeconds": 0}}, "/startup/loadSeconds"),
    "a number in words": ({"options": {"max-queued-images": "many"}}, "/options/max-queued-images"),
    "an option that is the chart's": ({"options": {"drain-seconds": 3}}, "additional properties 'drain-seconds' not allowed"),
    "an option that there is not": ({"options": {"max-queue": 3}}, "additional properties 'max-queue' not allowed"),
    "nobody may call": ({"networkPolicy": {"clients": []}}, "/networkPolicy/clients"),
    "a peer that is none": ({"networkPolicy": {"clients": [{"podSelectors": {}}]}}, "additional properties 'podSelectors' not allowed"),
    "half a digest": ({"image": {"tag": "@sha256:12"}}, "/image/tag"),
    "an address without a scheme": ({"autoscaling": {"prometheusAddress": "prometheus:9090"}}, "/autoscaling/prometheusAddress"),
}


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return HelmChart(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def refusals(chart):
    return {name: chart.refusal(values=values, version="1.32") for name, (values, _) in REFUSED.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_together_is_refused_by_a_sentence(refusals, name):
    assert "values of hmar do not fit:" in refusals[name]
    assert REFUSED[name][1] in refusals[name]
    assert refusals[name].count(" - ") == 1, "one fault, one sentence"


def test_each_sentence_has_been_heard(refusals):
    template = (CHART / "templates" / "_refusals.tpl").read_text()
    sentences = re.findall(r"^- (.*(?:\n  .*)*)", template, re.MULTILINE)
    assert len(sentences) >= 20
    heard = " ".join(refusals.values())
    for sentence in sentences:
        longest = max(re.split(r"{{.*?}}", " ".join(sentence.split())), key=len)
        assert longest in heard, f"no values are refused with: {sentence}"


def test_all_that_is_wrong_is_told_at_once(chart):
    said = chart.refusal(values={"device": "cuda", "tls": {"enabled": True}, "replicas": 3, "autoscaling": {"hpa": True}})
    assert said.count(" - ") == 3


@pytest.mark.parametrize("name", WRONG)
def test_a_value_that_none_may_be_is_refused_by_its_place(chart, name):
    values, said = WRONG[name]
    assert said in chart.refusal(values=values)


def schemas_in(schema, path=""):
    """(path, schema) of each object that values can hold."""
    if schema.get("type") == "object":
        yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas_in(child, f"{path}/{name}")
    if isinstance(schema.get("items"), dict):
        yield from schemas_in(schema["items"], f"{path}/0")


# Kubernetes' own types, which the cluster looks at; and Helm's globals, which a chart cannot refuse as part of another.
FOREIGN = {"/global", "/modelVolume/init/env/0", "/networkPolicy/egress/0", "/pod/env/0", "/pod/tolerations/0", "/pod/affinity"}


def test_unknown_keys_are_refused_wherever_they_stand(chart):
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    named = dict(schemas_in(schema))
    assert {path for path, each in named.items() if "additionalProperties" not in each} == FOREIGN
    assert all("additionalProperties" in each for _, each in schemas_in({"properties": schema["$defs"]}) if "properties" in each)
    closed = [path for path, each in named.items() if each.get("additionalProperties") is False]
    closed += ["/resources", "/modelVolume/init/resources", "/networkPolicy/clients/0", "/networkPolicy/monitoring/0"]  # By $ref.
    assert len(closed) >= 25
    for path in closed:
        place = values
        for step in path.split("/")[1:]:
            place = place[int(step) if step.isdigit() else step]
        place["surprise"] = True
    said = chart.refusal(values=values)
    for path in closed:
        assert f"at '{path}': additional properties 'surprise' not allowed" in said


def test_the_schema_knows_each_value_and_the_default_of_each_fits(chart):
    def keys(values, schema, path=""):
        assert values.keys() - {"max-connection-age-seconds"} <= schema["properties"].keys(), path
        if path != "/options":
            assert schema["properties"].keys() - {"global", "architecture", "precision"} == values.keys(), path
        for name, value in values.items():
            child = schema["properties"][name]
            if isinstance(value, dict) and "properties" in child:
                keys(value, child, f"{path}/{name}")

    keys(yaml.safe_load((CHART / "values.yaml").read_text()), json.loads((CHART / "values.schema.json").read_text()))
    assert chart.objects(values=yaml.safe_load((CHART / "values.yaml").read_text()))


CHARTS_OWN = {"model", "architecture", "precision", "device", "listen", "http", "metrics", "metrics-basic-auth", "tls-cert", "tls-key",
              "tls-client-ca", "keys", "load-seconds", "probe-seconds", "drain-delay-seconds", "drain-seconds"}
USELESS = {"port-file", "config"}  # The ports are known, and there is no file to read.


def test_options_are_all_those_of_the_server_that_the_chart_does_not_set(chart, hmar_server):
    rows = option_rows(hmar_server)
    options = json.loads((CHART / "values.schema.json").read_text())["properties"]["options"]["properties"]
    assert options.keys() == rows.keys() - CHARTS_OWN - USELESS
    for name, schema in options.items():
        assert (schema == {"$ref": "#/$defs/count"}) == bool(re.fullmatch(r"N|\d+\.\.\d+", rows[name][0])), name


def test_options_are_written_as_the_server_reads_them(chart):
    options = {"max-message-bytes": 41943040, "transport-memory-bytes": 4294967295, "reserved-slots": 0, "trust-forwarded-for": True,
               "access-log": False, "reflection": False, "http-allow-origin": "*", "log-level": "warn"}
    args = server_of(chart.objects(values={"options": options}))["args"]
    assert {"--max-message-bytes=41943040", "--transport-memory-bytes=4294967295", "--reserved-slots=0", "--trust-forwarded-for",
            "--no-access-log", "--reflection=off", "--http-allow-origin=*", "--log-level=warn"} <= set(args)
    args = server_of(chart.objects(values={"options": {"trust-forwarded-for": False, "access-log": True}}))["args"]
    assert "--access-log" in args and not any("trust" in one for one in args)


def test_the_chart_can_be_part_of_another(chart, tmp_path):
    parent = tmp_path / "parent"
    (parent / "charts").mkdir(parents=True)
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 1.0.0\n")
    (parent / "values.yaml").write_text("global: {registry: example.org}\nhmar-server: {replicas: 5}\n")
    assert chart.run("package", CHART, "-d", parent / "charts").returncode == 0
    (deployment,) = [each for each in chart.objects(chart=parent) if each["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 5


def test_examples_say_nothing_that_is_the_default_anyway(chart):
    def repeated(values, defaults, path=""):
        for name, value in values.items():
            if isinstance(value, dict) and isinstance(defaults.get(name), dict) and defaults[name]:
                yield from repeated(value, defaults[name], f"{path}.{name}")
            elif name in defaults and value == defaults[name]:
                yield f"{path}.{name}"

    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for example in EXAMPLES:
        assert set(repeated(yaml.safe_load(example.read_text()), defaults)) <= {".replicas", ".autoscaling.minReplicas"}, example


def leaves(values, path=""):
    """(path, default) of each value that the README is to have: mappings of a user's own are one."""
    for name, value in values.items():
        if isinstance(value, dict) and value and f"{path}{name}" not in ("resources", "options", "modelVolume.init.resources"):
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def test_the_readme_has_each_value_with_its_default():
    table = (CHART / "README.md").read_text().partition("\n## Values\n")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| (?:`(.*?)`)? *\| \S.* \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| `")

    def text(default):
        return "" if default in (None, "") else default if isinstance(default, str) else json.dumps(default)

    assert rows == [(path, text(default)) for path, default in leaves(yaml.safe_load((CHART / "values.yaml").read_text()))]
