"""The chart's pod, run by podman as it is rendered: its user, its read-only root, its limits, its command line, its end."""
import json
import uuid
import warnings

import pytest
import yaml

from helm_chart import HelmChart, pod_of
from server_process import READINESS
from test_container import IMAGE, line_of, podman  # noqa: F401  (a fixture)


@pytest.fixture
def played(podman, tmp_path):  # noqa: F811
    """The name of the running container, which is removed afterwards."""
    if podman("image", "exists", IMAGE, check=False).returncode != 0:
        reason = f"THE CHART'S POD IS NOT RUN: there is no image {IMAGE}; tests/deploy/test_container.py builds it"
        warnings.warn(reason, stacklevel=1)
        pytest.skip(reason)
    chart = HelmChart(tmp_path)
    values = {"image": {"repository": IMAGE, "tag": "latest", "pullPolicy": "Never"}, "drain": {"delaySeconds": 0}}
    spec = pod_of(chart.objects(values=values))
    name = f"hmar-{uuid.uuid4().hex[:8]}"
    spec["restartPolicy"] = "Never"  # To see how it ends.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(pod))
    podman("kube", "play", file)
    yield f"{name}-{spec['containers'][0]['name']}"
    podman("pod", "rm", "--force", name)


def test_the_pod_runs_and_ends_as_it_is_rendered(podman, played):  # noqa: F811
    (found,) = json.loads(podman("inspect", played))
    assert found["HostConfig"]["ReadonlyRootfs"] and not found["EffectiveCaps"]
    assert (found["Config"]["User"], found["HostConfig"]["Memory"]) == ("10001:10001", 3 << 30)
    assert "no-new-privileges" in found["HostConfig"]["SecurityOpt"]
    assert line_of(podman, played, "ready")
    for service in ("", READINESS):
        assert podman("exec", played, "/usr/bin/hmar", "health", "--service", service).endswith("SERVING")
    podman("kill", "--signal=TERM", played)
    assert podman("wait", played) == "0"
    assert line_of(podman, played, "stopped")
