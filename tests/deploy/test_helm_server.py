"""The Helm chart against the real server: it starts with what the chart renders, answers its probes, takes up renewed Secrets, and
has the series that autoscaling asks for."""
import os
import re
import subprocess
import time
import types

import grpc
import pytest
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from authority import Authority
from helm_chart import CHART, EXAMPLES, UNTESTED, HelmChart, only, option_rows, pod_of, server_of
from keys_file import Keys
from server_process import GENEROUS_SECONDS
from stubs import REPO
from tools import tool

ADAPTER = CHART / "prometheus-adapter.yaml"
BUNDLED = "/usr/share/hmar-server/models/hmar-cifar10"
SERVING = health_pb2.HealthCheckResponse.SERVING
SERIES = re.compile(r"\b(hmar_\w+)\b")


@pytest.fixture(scope="module")
def chart(tmp_path_factory):
    return HelmChart(tmp_path_factory.mktemp("helm"))


def on_this_machine(argument, model_folder, secrets="/etc/hmar"):
    """The same option with this checkout's model, a Secret's files, and loopback in place of the pod's address."""
    argument = argument.replace(BUNDLED, str(model_folder)).replace("/etc/hmar", str(secrets))
    return re.sub(r"^(--(listen|http|metrics))=0\.0\.0\.0:\d+$", r"\1=127.0.0.1:0", argument)


def test_every_option_that_is_rendered_is_one_of_the_servers(chart, hmar_server):
    rows = option_rows(hmar_server)
    for example in EXAMPLES:
        for argument in server_of(chart.objects(f"--values={example}"))["args"]:
            name, _, value = re.fullmatch(r"--([a-z-]+)(=?)(.*)", argument).groups()
            assert name.removeprefix("no-") in rows, argument
            assert bool(value) == bool(rows[name.removeprefix("no-")][0]), f"{example.stem}: {argument}"


def test_defaults_of_the_chart_are_those_of_the_server(hmar_server):
    rows = option_rows(hmar_server)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    drain, startup = values["drain"], values["startup"]
    assert [rows[name][1] for name in ("drain-delay-seconds", "drain-seconds", "load-seconds", "probe-seconds", "device")] == [
        str(drain["delaySeconds"]), str(drain["seconds"]), str(startup["loadSeconds"]), str(startup["probeSeconds"]), values["device"]]


def test_the_chart_is_of_the_version_that_is_built():
    version = re.search(r"^project\(hmar-server VERSION (\S+)", (REPO / "CMakeLists.txt").read_text(), re.MULTILINE)[1]
    found = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (found["appVersion"], found["version"]) == (version, version)
    assert version in yaml.safe_load((CHART / "examples" / "gpu.yaml").read_text())["image"]["tag"]


def test_the_server_starts_with_the_chart_s_command_line_and_answers_its_probes(chart, start_server, model_folder):
    objects = chart.objects(f"--values={CHART / 'examples' / 'cpu.yaml'}")
    container = server_of(objects)
    server = start_server(*(on_this_machine(one, model_folder) for one in container["args"]))
    server.wait_until_ready()
    for kind in ("startup", "liveness", "readiness"):
        asked = health_pb2.HealthCheckRequest(service=container[f"{kind}Probe"]["grpc"]["service"])
        assert server.health().Check(asked, timeout=GENEROUS_SECONDS).status == SERVING, kind
    assert server.http_port and server.metrics_port, "the ports that the Services have"
    assert {port["name"] for port in container["ports"]} == {"grpc", "http", "metrics"}


class Secret:
    """A Secret as a kubelet mounts it: files are links into ..data, which is a link that is replaced when the Secret changes."""

    def __init__(self, folder):
        self.folder, self.version = folder, 0
        folder.mkdir(parents=True)

    def put(self, **files):
        self.version += 1
        version = self.folder / f"..{self.version}"
        version.mkdir()
        for name, content in files.items():
            (version / name).write_bytes(content)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..new").symlink_to(version.name)
        os.replace(self.folder / "..new", self.folder / "..data")


def pair(files):
    return {"tls.crt": files.cert.read_bytes(), "tls.key": files.key.read_bytes()}


@pytest.fixture
def guarded(chart, hmar, start_server, model_folder, tmp_path):
    """A server with the command line of examples/tls-keys.yaml, as localhost: .server, .container, .secrets, .authority, .keys"""
    objects = chart.objects(f"--values={CHART / 'examples' / 'tls-keys.yaml'}", "--set=tls.serverName=localhost")
    assert [alias["hostnames"] for alias in pod_of(objects)["hostAliases"]] == [["localhost"]]
    authority, etc = Authority(tmp_path / "authority"), tmp_path / "etc"
    keys = Keys(hmar, tmp_path / "keys.toml").add("old").write()
    secrets = {volume["name"]: Secret(etc / volume["name"]) for volume in pod_of(objects)["volumes"]}
    secrets["tls"].put(**pair(authority.issue()))
    secrets["client-ca"].put(**{"ca.crt": authority.file.read_bytes()})
    secrets["probe"].put(**pair(authority.issue("probe")))
    secrets["keys"].put(**{"keys.toml": keys.file.read_bytes()})
    container = server_of(objects)
    server = start_server(*(on_this_machine(one, model_folder, etc) for one in container["args"]))
    server.wait_for_line("ready")
    return types.SimpleNamespace(server=server, container=container, secrets=secrets, authority=authority, keys=keys, etc=etc)


def probe(guarded, hmar, kind):
    """The exit code of a probe's command, run by the client of this build."""
    program, *arguments = guarded.container[f"{kind}Probe"]["exec"]["command"]
    assert program == "/usr/bin/hmar"
    arguments = [one.replace("/etc/hmar", str(guarded.etc)).replace(":50051", f":{guarded.server.port}") for one in arguments]
    return subprocess.run([hmar, *arguments], capture_output=True, timeout=GENEROUS_SECONDS, check=False).returncode


def until(condition):
    """Whether it ever holds; each question waits for an answer of the server's."""
    deadline = time.monotonic() + GENEROUS_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


def test_probes_over_tls_see_the_server_through_a_renewal_of_its_certificate(guarded, hmar):
    for kind in ("startup", "liveness", "readiness"):
        assert probe(guarded, hmar, kind) == 0, guarded.server.output
    another = Authority(guarded.etc.parent / "another")
    guarded.secrets["tls"].put(**pair(another.issue()))
    assert until(lambda: probe(guarded, hmar, "liveness") == 0)
    guarded.secrets["tls"].put(**pair(another.issue("elsewhere")))
    assert until(lambda: probe(guarded, hmar, "readiness") != 0), "a probe would not see that the certificate has another name"


def test_keys_of_a_renewed_secret_are_taken_up(guarded):
    client = guarded.authority.issue("caller")
    credentials = grpc.ssl_channel_credentials(guarded.authority.file.read_bytes(), client.key.read_bytes(), client.cert.read_bytes())
    with grpc.secure_channel(f"localhost:{guarded.server.port}", credentials) as channel:
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=GENEROUS_SECONDS).status == SERVING
        stub = image_generation_pb2_grpc.ImageGenerationServiceStub(channel)

        def known(name):
            try:
                return stub.ListModels(pb.ListModelsRequest(), metadata=guarded.keys.of(name), timeout=GENEROUS_SECONDS).models
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNAUTHENTICATED
                return None

        guarded.keys.add("new").write()
        assert known("old") and not known("new")
        guarded.secrets["keys"].put(**{"keys.toml": guarded.keys.file.read_bytes()})
        assert until(lambda: known("new"))


def scaling_queries(chart):
    """{name: PromQL} of what the HPA and the ScaledObject go by: the adapter's for one pod, KEDA's for all."""
    queries = {}
    for rule in yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]:
        query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="imaging"').replace("<<.GroupBy>>", "pod")
        queries[rule["name"]["as"]] = query
    (scaled,) = [each for each in chart.objects(f"--values={CHART / 'examples' / 'keda.yaml'}") if each["kind"] == "ScaledObject"]
    return queries | {trigger["name"]: trigger["metadata"]["query"] for trigger in scaled["spec"]["triggers"]}


def test_the_hpa_asks_for_what_the_adapter_has_and_keda_for_the_same(chart):
    hpa = only(chart.objects(f"--values={CHART / 'examples' / 'hpa.yaml'}"), "HorizontalPodAutoscaler")["spec"]
    wanted = {metric["pods"]["metric"]["name"]: metric["pods"]["target"]["averageValue"] for metric in hpa["metrics"]}
    assert wanted == {"hmar_queue_seconds": "2.5", "hmar_busy_share": "750m"}
    assert scaling_queries(chart).keys() == wanted.keys() | {"queue-seconds", "busy-percent"}
    keda = only(chart.objects(f"--values={CHART / 'examples' / 'keda.yaml'}"), "ScaledObject")["spec"]
    assert [trigger["metadata"]["threshold"] for trigger in keda["triggers"]] == ["5", "75"]
    assert keda["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpa["behavior"]


def test_autoscaling_asks_for_series_that_a_server_has(chart, server):
    families = text_string_to_metric_families(server.metrics_text())
    names = {sample.name for family in families for sample in family.samples}
    for query in scaling_queries(chart).values():
        assert SERIES.findall(query) and set(SERIES.findall(query)) <= names, query
    for rule in yaml.safe_load(ADAPTER.read_text())["rules"]["custom"]:
        assert SERIES.findall(rule["seriesQuery"])[0] in names


# Two pods of the release: what each has in 15 seconds (images begun, device seconds) and all the time (images waiting).
PODS = {"a": {"begun": 30, "busy": 13.5, "waiting": 40}, "b": {"begun": 45, "busy": 7.5, "waiting": 10}}
AT_WORK = {"hmar_queue_seconds": {"a": 40 / 2, "b": 10 / 3}, "hmar_busy_share": {"a": 0.9, "b": 0.5}, "queue-seconds": 50 / 5,
           "busy-percent": 70}
IDLE = {"hmar_queue_seconds": {"a": 0, "b": 0}, "hmar_busy_share": {"a": 0, "b": 0}, "queue-seconds": 0, "busy-percent": 0}


def five_minutes_of_work_and_ten_of_none():
    """promtool's series, of 15 seconds a sample."""
    for pod, of in PODS.items():
        labels = f'namespace="imaging",service="hmar-headless",pod="{pod}"'
        yield f"hmar_queue_images{{{labels}}}", f"{of['waiting']}x19 0x40"
        yield f"hmar_queue_duration_seconds_count{{{labels}}}", f"0+{of['begun']}x20 {20 * of['begun']}x40"
        yield f'hmar_device_busy_seconds_total{{{labels},device="cpu"}}', f"0+{of['busy']}x20 {20 * of['busy']}x40"


def asked(query, expected, when):
    """promtool's test that the query has this value, or these values by pod."""
    by_pod = expected if isinstance(expected, dict) else {None: expected}
    samples = [{"labels": f'{{pod="{pod}"}}' if pod else "{}", "value": round(value, 3)} for pod, value in by_pod.items()]
    return {"expr": f"round({query}, 0.001)", "eval_time": when, "exp_samples": samples}


def test_autoscaling_sees_the_wait_and_the_work(chart, tmp_path):
    queries = scaling_queries(chart)
    tests = [asked(queries[name], value, when) for when, values in (("4m45s", AT_WORK), ("14m", IDLE)) for name, value in values.items()]
    # Another release, which waits longer, is none of KEDA's; the adapter is asked about pods by name.
    stranger = ('hmar_queue_images{namespace="imaging",service="other-headless"}', "5000x60")
    for query in queries.values():
        assert ('service="hmar-headless"' in query) == ("by (pod)" not in query)
    inputs = [{"series": name, "values": values} for name, values in (*five_minutes_of_work_and_ten_of_none(), stranger)]
    file = tmp_path / "scaling.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [{"interval": "15s", "input_series": inputs, "promql_expr_test": tests}]}))
    done = subprocess.run([tool("promtool", UNTESTED), "test", "rules", file], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
