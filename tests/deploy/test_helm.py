"""The Helm chart as a cluster's operator would use it: what it renders, and what a cluster and an auditor say to that."""
import json
import re
import subprocess
import tarfile

import pytest
import yaml

from helm_chart import CHART, EXAMPLES, HelmChart, option_rows, only, pod_of, python_of, server_of
from stubs import REPO

VERSIONS = ["1.30", "1.33", "1.37"]
IMAGE_VOLUMES_SINCE = "1.33"
OUR_RULES = REPO / "deploy" / "prometheus"

# What checkov looks for and does not find, with the reason: what is left to who installs the chart, and what makes no sense of a
# pod that asks for health once. Anything else is a fault.
EXPECTED = {
    ("CKV_K8S_15", "Deployment"): "imagePullPolicy Always: a release's tag does not change, and pods must start while the registry is down",
    ("CKV_K8S_43", "Deployment"): "an image by its digest: image.tag takes one, @sha256:...",
    ("CKV_K8S_15", "Pod"): "likewise",
    ("CKV_K8S_43", "Pod"): "likewise",
    ("CKV_K8S_8", "Pod"): "a liveness probe of helm's test",
    ("CKV_K8S_9", "Pod"): "a readiness probe of helm's test",
    ("CKV2_K8S_6", "Pod"): "a NetworkPolicy for helm's test",
}


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return HelmChart(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def rendered(chart):
    """{(version, name of the example or "defaults"): objects}; images as volumes are not for the oldest."""
    found = {}
    for version in VERSIONS:
        found[version, "defaults"] = chart.objects(version=version)
        for example in EXAMPLES:
            if example.stem != "model-image" or version >= IMAGE_VOLUMES_SINCE:
                found[version, example.stem] = chart.objects(f"--values={example}", version=version)
    return found


def faults_of(by_version):
    """What cluster_schemas.py says of {version: objects}."""
    done = subprocess.run([python_of("kubernetes"), REPO / "tests" / "deploy" / "cluster_schemas.py"], input=json.dumps(by_version),
                          capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


@pytest.mark.parametrize("example", [None, *EXAMPLES], ids=lambda file: file.stem if file else "defaults")
def test_lint_finds_nothing(chart, example):
    done = chart.run("lint", "--strict", f"--kube-version={VERSIONS[-1]}", *([f"--values={example}"] if example else []), CHART)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout and "[ERROR]" not in done.stdout


def test_each_object_is_one_that_clusters_know_without_a_field_too_many(rendered):
    by_version = {version: [] for version in VERSIONS}
    for (version, _), objects in rendered.items():
        by_version[version] += [each for each in objects if each not in by_version[version]]
    kinds = {each["kind"] for each in by_version[VERSIONS[0]]}
    assert {"Deployment", "Service", "ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "HorizontalPodAutoscaler", "ScaledObject",
            "ServiceMonitor", "PrometheusRule", "Pod"} == kinds
    assert faults_of(by_version) == ""


def test_the_schemas_would_find_a_fault():
    wrong = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"porst": []}},
        {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a"},
         "spec": {"scaleTargetRef": {"name": "b"}, "triggers": [], "minReplicas": 1}},
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "a"}, "spec": {"selector": {}}},
    ]
    said = faults_of({"1.37": wrong}).splitlines()
    assert [fault for fault in ("porst", "minReplicas", "endpoints") if not any(fault in line for line in said)] == []


def test_an_auditor_finds_nothing_but_what_is_left_to_operators(chart, rendered):
    python = python_of("checkov")
    for name in ("defaults", *(example.stem for example in EXAMPLES)):
        (chart.folder / f"{name}.yaml").write_text(yaml.safe_dump_all(rendered[VERSIONS[-1], name]))
    files = [f"--file={file}" for file in sorted(chart.folder.glob("*.yaml")) if file.stem != "values"]
    done = subprocess.run([python, "-m", "checkov.main", *files, "--framework=kubernetes", "--output=json", "--quiet", "--compact",
                           "--skip-download"], capture_output=True, text=True, timeout=600, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["resource_count"] > 50 and report["summary"]["parsing_errors"] == 0
    failed = {}
    for check in report["results"]["failed_checks"]:
        key = check["check_id"], check["resource"].partition(".")[0]
        failed.setdefault(key, []).append(f"{check['check_name']}: {check['resource']}")
    assert {key: found for key, found in failed.items() if key not in EXPECTED} == {}
    assert failed.keys() == EXPECTED.keys(), "an exception that is not needed"


def test_all_that_selects_pods_selects_the_servers_and_nothing_else(rendered):
    for (_, name), objects in rendered.items():
        labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        selectors = [each["spec"]["selector"] for each in objects if each["kind"] == "Service"]
        selectors += [each["spec"]["selector"]["matchLabels"] for each in objects if each["kind"] in ("Deployment", "PodDisruptionBudget")]
        selectors += [each["spec"]["podSelector"]["matchLabels"] for each in objects if each["kind"] == "NetworkPolicy"]
        selectors += [one["labelSelector"]["matchLabels"] for one in pod_of(objects)["topologySpreadConstraints"]]
        assert len(selectors) >= 6, name
        testers = [each["metadata"]["labels"] for each in objects if each["kind"] == "Pod"]
        for selector in selectors:
            assert selector.items() <= labels.items()
            assert not any(selector.items() <= tester.items() for tester in testers), "helm test would be asked for pictures"


def test_prometheus_scrapes_each_pod_once_under_the_name_that_alerts_go_by(rendered):
    objects = rendered["1.37", "prometheus-operator"]
    monitor = only(objects, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"]
    (service,) = [each for each in objects if each["kind"] == "Service" and wanted.items() <= each["metadata"]["labels"].items()]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "hmar"}]
    (scrape,) = yaml.safe_load((OUR_RULES / "prometheus.yml").read_text())["scrape_configs"]
    assert scrape["job_name"] == "hmar"


def test_rules_and_alerts_are_those_of_deploy_prometheus(chart, rendered, tmp_path):
    groups = only(rendered["1.37", "prometheus-operator"], "PrometheusRule")["spec"]["groups"]
    for kind in ("rules", "alerts"):
        ours = yaml.safe_load((OUR_RULES / f"{kind}.yml").read_text())["groups"]
        assert [group["rules"] for group in groups if group["name"].startswith(f"hmar-{kind}")] == [group["rules"] for group in ours]
    # Nothing is there twice: the checkout has links, a packaged chart the files themselves.
    assert chart.run("package", CHART, "-d", tmp_path).returncode == 0
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        for kind in ("rules", "alerts"):
            assert (CHART / "rules" / f"{kind}.yml").is_symlink()
            assert archive.extractfile(f"hmar-server/rules/{kind}.yml").read() == (OUR_RULES / f"{kind}.yml").read_bytes()
    assert only(chart.objects("--set=prometheusRule.enabled=true", chart=package), "PrometheusRule")["spec"]["groups"] == groups


def test_probes_ask_for_the_process_and_for_readiness_by_their_names(rendered):
    from server_process import READINESS

    server = server_of(rendered["1.37", "defaults"])
    assert {kind: server[f"{kind}Probe"]["grpc"] for kind in ("startup", "liveness", "readiness")} == {
        "startup": {"port": 50051, "service": ""}, "liveness": {"port": 50051, "service": ""},
        "readiness": {"port": 50051, "service": READINESS}}
    startup = server["startupProbe"]
    assert startup["failureThreshold"] * startup["periodSeconds"] >= 600 + 30, "the server's own limit of a load comes first"
    over_tls = server_of(rendered["1.37", "tls-keys"])
    assert all("exec" in over_tls[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness"))


def test_the_grace_period_is_the_sum_of_what_is_waited_for(chart):
    last = int(re.search(r"kGrace = absl::Seconds\((\d+)\)", (REPO / "server" / "exit_guard.h").read_text())[1])
    for pre_stop, delay, seconds in ((5, 5, 30), (0, 15, 120), (20, 0, 1)):
        values = {"drain": {"preStopSeconds": pre_stop, "delaySeconds": delay, "seconds": seconds}}
        total = pre_stop + delay + seconds + last
        objects = chart.objects(values=values)
        assert pod_of(objects)["terminationGracePeriodSeconds"] > total
        server = server_of(objects)
        assert {f"--drain-delay-seconds={delay}", f"--drain-seconds={seconds}"} <= set(server["args"])
        assert server.get("lifecycle") == ({"preStop": {"sleep": {"seconds": pre_stop}}} if pre_stop else None)
        values["drain"]["gracePeriodSeconds"] = total
        assert pod_of(chart.objects(values=values))["terminationGracePeriodSeconds"] == total
        values["drain"]["gracePeriodSeconds"] = total - 1
        assert f"add up to {total}" in chart.refusal(values=values)


def test_a_server_takes_the_gpus_of_its_pod(chart):
    args = server_of(chart.objects(values={"device": "cuda", "resources": {"limits": {"nvidia.com/gpu": 3}}}))["args"]
    assert "--device=cuda:0,cuda:1,cuda:2" in args
    args = server_of(chart.objects(values={"device": "cuda", "resources": {"limits": {"nvidia.com/mig-1g.10gb": 1}}}))["args"]
    assert "--device=cuda:0" in args


def test_memory_has_room_for_what_the_server_allows_itself(chart, hmar_server):
    bounds = sum(int(default) for name, (_, default, _) in option_rows(hmar_server).items()
                 if re.fullmatch(r"(http|encoder|delivery|upload)-buffer-bytes|transport-memory-bytes|upload-(decode|cache)-bytes", name))
    limit = re.fullmatch(r"(\d+)Gi", server_of(chart.objects())["resources"]["limits"]["memory"])
    assert int(limit[1]) << 30 > bounds + (512 << 20), "the most that tests/bench/RESULTS.md saw of the rest is 502 MB"
