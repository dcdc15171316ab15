"""Fixtures of monitoring/: Debian's Prometheus, a server under a load of all sorts, and one that watches the other."""
import re
import subprocess

import pytest

from stubs import REPO
from tools import tool

PROMETHEUS = REPO / "deploy" / "prometheus"

# What every panel has something of: previews, edits, cancels of images that run (they go first), deadlines that pass and
# deadlines that are met with less, a client with too many images.
MIX = """
[[mix]]
name = "drafts"
principal = "fritz"
weight = 4
previews = "fast"
[[mix]]
name = "full"
previews = "full"
principal = "alice"
[[mix]]
name = "edits"
principal = "fritz"
weight = 2
method = "edit"
uploads = 8
[[mix]]
name = "leavers"
images = 16
priority = 5
cancel_after_ms = 700
principal = "dora"
[[mix]]
name = "hurried"
images = 8
deadline_ms = 150
principal = "bob"
[[mix]]
name = "anytime"
deadline_ms = 1500
on_deadline = "degrade"
principal = "erin"
[[mix]]
name = "crowd"
weight = 2
method = "generate_images"
images = 8
format = "rgb"
principal = "carol"
"""
UNTESTED = "ALERTS AND DASHBOARD ARE NOT TESTED"
CALLERS = ["alice", "bob", "carol", "dora", "erin", "fritz"]
# A cache that holds some of the pictures that edits send, not all.
SERVER_FLAGS = ["--max-images-in-flight=8", "--max-queued-images=64", "--max-queued-images-per-client=16",
                "--upload-cache-bytes=4000"]


@pytest.fixture(scope="session")
def promtool():
    """promtool(*arguments, stdin=None): its output; the test fails if it does."""
    program = tool("promtool", UNTESTED, "--test")

    def run(*arguments, stdin=None):
        done = subprocess.run([program, *map(str, arguments)], input=stdin, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="session")
def watched(hmar_server, hmar, model_folder, build_dir, tmp_path_factory):
    """A Prometheus, and the server that it scrapes while a load of all sorts goes on: (prometheus, server)."""
    from keys_file import Keys
    from prometheus_process import PrometheusProcess
    from server_process import ServerProcess

    binary = tool("prometheus", UNTESTED, "--test")
    folder = tmp_path_factory.mktemp("monitoring")
    keys = Keys(hmar, folder / "keys.toml")
    for caller in CALLERS:
        (folder / caller).write_text(keys.add(caller).keys[caller])
    keys.write()
    mix = folder / "mix.toml"
    mix.write_text(re.sub('principal = "(.*)"', rf'\g<0>\napi_key_file = "{folder}/\1"', MIX))
    flags = [f"--model=hmar-cifar10={model_folder}", f"--keys={keys.file}", *SERVER_FLAGS]
    with ServerProcess(hmar_server, flags, folder) as server:
        server.wait_until_ready()
        load = subprocess.Popen(
            [build_dir / "client" / "hmar-load", "--server", server.address, "--concurrency", "24", "--duration", "3600",
             "--mix", mix, "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        prometheus = PrometheusProcess(binary, PROMETHEUS / "prometheus.yml", [f"127.0.0.1:{server.metrics_port}"], folder)
        try:
            yield prometheus, server
            assert load.poll() is None, "the load ended before the tests did"
        finally:
            load.kill()
            load.wait()
            prometheus.stop()
