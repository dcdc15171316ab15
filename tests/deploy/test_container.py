"""The image: built of the packages, in a Debian without anything else; what is in it, how it runs and how it ends. Takes podman
and mmdebstrap, and root for them."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time

import grpc
import pytest
import yaml
from hmar.v1 import image_generation_pb2_grpc

from requests_under_test import images_of, request
from server_process import GENEROUS_SECONDS
from stubs import REPO
from tools import tool

BASE = "localhost/hmar-test-base"
IMAGE = "localhost/hmar-server-under-test"
STRICT = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--memory=3g", "--network=host"]


# Limits that root may not raise on every machine, and the runtime that takes cgroups of either version.
CONFIGURATION = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """podman(*arguments): its output; check=False: the whole result."""
    program = tool("podman", "THE IMAGE IS NOT TESTED")
    if os.geteuid() != 0:
        pytest.skip("THE IMAGE IS NOT TESTED: it takes root here")
    configuration = tmp_path_factory.mktemp("podman") / "containers.conf"
    configuration.write_text(CONFIGURATION)
    environment = {**os.environ, "CONTAINERS_CONF": str(configuration)}

    def run(*arguments, check=True):
        done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, env=environment)
        if not check:
            return done
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def base(podman, tmp_path_factory):
    """A Debian with nothing in it, kept by podman for the next time."""
    if podman("image", "exists", BASE, check=False).returncode != 0:
        tar = tmp_path_factory.mktemp("base") / "base.tar"
        subprocess.run([tool("mmdebstrap", "THE IMAGE IS NOT TESTED"), "--quiet", "--variant=minbase", "bookworm", tar], check=True)
        podman("import", tar, BASE)
    return BASE


@pytest.fixture(scope="module")
def image(podman, base, build_dir, tmp_path_factory):
    """As deploy/Dockerfile makes it, of packages that this build makes instead of a build of their own."""
    stage = tmp_path_factory.mktemp("build-stage")
    subprocess.run(["cpack", "--config", build_dir / "CPackConfig.cmake", "-B", stage / "packages", "-G", "DEB"], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(stage / "packages" / "_CPack_Packages")
    for package in (stage / "packages").glob("hmar-server-cuda_*.deb"):
        package.unlink()
    sums = [f"{hashlib.sha256(package.read_bytes()).hexdigest()}  {package.name}" for package in (stage / "packages").glob("*.deb")]
    (stage / "packages" / "SHA256SUMS").write_text("\n".join(sums))
    podman("build", "--network=host", "--format=docker", "--file", REPO / "deploy" / "Dockerfile",
           "--build-arg", f"BASE={base}", "--build-context", f"build={stage}", "--tag", IMAGE, REPO)
    return IMAGE


@pytest.fixture
def start(podman, image):
    """start(*flags, options=()): the name of a running container, which is removed afterwards."""
    started = []

    def run(*flags, options=()):
        started.append(podman("run", "--detach", *STRICT, *options, image, *flags))
        return started[-1]

    yield run
    for container in started:
        podman("rm", "--force", container)


def line_of(podman, container, part):
    """The first line of the log with the part in it, once it is there."""
    deadline = time.monotonic() + GENEROUS_SECONDS
    log = subprocess.Popen(["podman", "logs", "--follow", container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in log.stdout:
            if part in line:
                return line
            assert time.monotonic() < deadline, line
        raise AssertionError(f"no {part!r} in the log:\n" + podman("logs", container))
    finally:
        log.kill()
        log.wait()


def port_of(podman, container):
    return int(line_of(podman, container, "listening on").rstrip().rpartition("port ")[2])


def test_it_draws_the_same_bytes_says_that_it_is_well_and_finishes_what_it_has(podman, start, server):
    container = start("--listen=127.0.0.1:0", "--metrics=", "--drain-delay-seconds=0")
    port = port_of(podman, container)
    line_of(podman, container, "ready")
    assert podman("exec", "--env", f"HMAR_SERVER=127.0.0.1:{port}", container, "/usr/bin/hmar", "health").endswith("SERVING")
    assert podman("exec", container, "/usr/bin/id", "-u", check=False).stdout.strip() == "10001"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = image_generation_pb2_grpc.ImageGenerationServiceStub(channel)
        wanted = images_of(server.stub().Generate(request(num_images=4), timeout=120))
        call = stub.Generate(request(num_images=4), timeout=120)
        assert next(call).WhichOneof("event") == "accepted"
        podman("kill", "--signal=TERM", container)
        assert [image.picture for image in images_of(call)] == [image.picture for image in wanted]
    assert podman("wait", container) == "0"


def test_its_threads_are_as_many_as_its_quota_is_worth(podman, start):
    container = start("--listen=127.0.0.1:0", "--metrics=", options=["--cpus=0.8"])
    assert "1 of 1 cores" in line_of(podman, container, "--encoder-threads 0")


@pytest.mark.parametrize("flags, says", [
    (["--model=m=/nowhere"], "/nowhere"),
    (["--keys=/etc/shadow"], "--keys"),
    (["--device=cuda:0"], "libhmar_cuda.so"),
], ids=["no model", "keys that cannot be read", "no GPU"])
def test_what_it_cannot_do_is_one_line_and_code_1(podman, start, flags, says):
    container = start("--listen=127.0.0.1:0", "--metrics=", *flags)
    assert podman("wait", container) == "1"
    done = podman("logs", container, check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if " error " in line or line.startswith("hmar-server:")]
    assert len(errors) == 1 and says in errors[0], errors


def test_what_is_in_it(podman, image, tmp_path):
    tester = tool("container-structure-test", "THE IMAGE'S CONTENTS ARE NOT TESTED")
    tar = tmp_path / "image.tar"
    podman("save", "--format=docker-archive", "--output", tar, image)
    tested = subprocess.run([tester, "test", "--driver=tar", f"--image={tar}", f"--config={pathlib.Path(__file__).parent / 'container.yaml'}"],
                            capture_output=True, text=True)
    assert tested.returncode == 0, tested.stdout
    settings = json.loads(podman("inspect", image))[0]
    assert settings["HealthCheck" if "HealthCheck" in settings else "Healthcheck"]["Test"] == ["CMD", "/usr/bin/hmar", "health"]


def test_what_is_pulled_of_it_is_under_400_mb(podman, image, tmp_path):
    """Its layers, compressed as a registry holds them. Unpacked it takes more: LibTorch alone 358 MB."""
    podman("push", "--compress", image, f"dir:{tmp_path / 'pushed'}")
    pushed = sum(file.stat().st_size for file in (tmp_path / "pushed").iterdir())
    print(f"{pushed / 1e6:.0f} MB pulled, {json.loads(podman('inspect', image))[0]['Size'] / 1e6:.0f} MB on disk")
    assert pushed < 400e6


def test_it_holds_the_packages_of_this_build(podman, image, build_dir):
    """Not those of a build before, which podman keeps."""
    told = podman("run", "--rm", *STRICT, "--entrypoint=/usr/bin/hmar-server", image, "--version")
    assert told == subprocess.run([build_dir / "server" / "hmar-server", "--version"], capture_output=True, text=True).stdout.strip()


def test_hadolint_has_nothing_to_say():
    linter = tool("hadolint", "THE DOCKERFILE IS NOT LINTED")
    linted = subprocess.run([linter, REPO / "deploy" / "Dockerfile"], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_compose_mounts_what_there_is_and_serves_this_machine_alone():
    compose = yaml.safe_load((REPO / "deploy" / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (REPO / "deploy" / source).exists(), (name, volume)
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name
    assert (REPO / "deploy" / compose["services"]["hmar-server"]["build"]["dockerfile"].removeprefix("deploy/")).exists()
    scraped = yaml.safe_load((REPO / "deploy" / "prometheus" / "compose.yml").read_text())
    alone = yaml.safe_load((REPO / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert [job.pop("static_configs") for job in scraped["scrape_configs"]] == [[{"targets": ["hmar-server:9090"]}]]
    [job.pop("static_configs") for job in alone["scrape_configs"]]
    assert scraped == alone
