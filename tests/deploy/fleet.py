"""Three hmar-servers and a proxy in front of them, from the very files of deploy/: for test_envoy.py, test_haproxy.py and
rolling.py."""
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import grpc
from hmar.v1 import image_generation_pb2_grpc

from server_process import GENEROUS_SECONDS, ServerProcess
from stubs import REPO
from tools import tool

REPLICAS = 3
# Beside the system's own choice of ports for outgoing connections: one of those could take a replica's while it restarts.
PORTS = range(20_000, 32_000)


def free_port():
    for port in random.sample(PORTS, 200):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no free port in {PORTS}")


def until(find, what):
    """find(), as soon as it is true: a server closes its books a moment after its client has the answer."""
    deadline = time.monotonic() + GENEROUS_SECONDS
    while not (found := find()):
        assert time.monotonic() < deadline, f"not {what}"
    return found


class Replica:
    """A server that comes back to the same ports."""

    def __init__(self, program, model_folder, folder, flags):
        self.grpc_port, self.http_port = free_port(), free_port()
        self._program, self._folder = program, folder
        self._flags = [f"--model=hmar-cifar10={model_folder}", f"--listen=127.0.0.1:{self.grpc_port}",
                       f"--http=127.0.0.1:{self.http_port}", "--threads=1", "--trust-forwarded-for", *flags]
        self._starts = 0
        self.start()

    def start(self, drain_delay=5):
        """`drain_delay`: seconds; hmar-server's own default, unless a test says otherwise."""
        self._starts += 1
        folder = self._folder / str(self._starts)
        folder.mkdir(parents=True)
        self.process = ServerProcess(self._program, [*self._flags, f"--drain-delay-seconds={drain_delay}"], folder)

    def drain(self):
        """SIGTERM; returns when it has ended. It must have finished what it had accepted."""
        self.process.process.send_signal(signal.SIGTERM)
        code = self.process.wait_for_exit()
        assert code == 0, f"exit code {code}:\n{self.process.output[-4000:]}"

    def kill(self):
        self.process.process.kill()
        self.process.wait_for_exit()

    def restart(self, drain_delay=5):
        self.drain()
        self.process.stop()
        self.start(drain_delay)
        self.process.wait_until_ready()

    def requests(self, **labels):
        """Generating calls that have ended here."""
        return self.process.metric("hmar_requests_total", **labels)

    def images(self):
        """That run or wait here."""
        return self.process.metric("hmar_running_images") + self.process.metric("hmar_queue_images")


class Proxy:
    """A proxy of deploy/, with the replicas' addresses and free ports put in. Subclasses say how it is started and asked."""

    name = ""
    config = pathlib.Path()

    def __init__(self, replicas, folder):
        self.port, self.http_port, self.admin_port = free_port(), free_port(), free_port()
        text = self.config.read_text()
        for number, replica in enumerate(replicas, 1):
            text = self.with_replica(text, number, replica)
        text = self.with_ports(text)
        assert "replica-1:" not in text and "0.0.0.0" not in text, text
        self.file = folder / self.config.name
        self.file.write_text(text)
        self.log = (folder / f"{self.name}.log").open("w+")
        self.process = subprocess.Popen(self.command(), stdout=self.log, stderr=subprocess.STDOUT, env=self.environment())
        self._replicas = len(replicas)
        self.channel = grpc.insecure_channel(self.address, options=[("grpc.max_receive_message_length", 1 << 28),
                                                                    ("grpc.enable_retries", 0)])

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stub(self):
        return image_generation_pb2_grpc.ImageGenerationServiceStub(self.channel)

    def admin(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=10) as response:
            return response.read().decode()

    def wait_for_healthy(self, count):
        """Until it takes so many replicas of every list to be healthy."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while True:
            try:
                found = self.healthy()
            except OSError:  # It is starting.
                found = None
            if found is not None and all(number == count for number in found.values()):
                return
            assert time.monotonic() < deadline and self.process.poll() is None, f"healthy: {found}\n{self.output()}"

    def output(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()[-4000:]

    def environment(self):
        return None

    def stop(self):
        self.channel.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Envoy(Proxy):
    name = "envoy"
    config = REPO / "deploy" / "envoy" / "envoy.yaml"

    @staticmethod
    def program():
        return tool("envoy", "ENVOY IS NOT TESTED")

    def command(self):
        base_id = str(self.admin_port)  # Of its shared memory: several may run.
        return [self.program(), "-c", str(self.file), "--concurrency", "1", "--base-id", base_id, "--log-level", "warning"]

    def with_replica(self, text, number, replica):
        for old, new in ((50051, replica.grpc_port), (8080, replica.http_port)):
            text = text.replace(f"{{address: replica-{number}, port_value: {old}}}", f"{{address: 127.0.0.1, port_value: {new}}}")
        return text

    def with_ports(self, text):
        for old, new in (("0.0.0.0, port_value: 50050", self.port), ("0.0.0.0, port_value: 8080", self.http_port),
                         ("127.0.0.1, port_value: 9901", self.admin_port)):
            assert f"address: {old}" in text
            text = text.replace(f"address: {old}", f"address: 127.0.0.1, port_value: {new}")
        return text

    def healthy(self):
        found = {}
        for cluster in json.loads(self.admin("/clusters?format=json"))["cluster_statuses"]:
            states = [host["health_status"] for host in cluster.get("host_statuses", ())]
            found[cluster["name"]] = sum(state == {"eds_health_status": "HEALTHY"} for state in states)
        return found


class HAProxy(Proxy):
    name = "haproxy"
    config = REPO / "deploy" / "haproxy" / "haproxy.cfg"

    @staticmethod
    def program():
        return tool("haproxy", "HAPROXY IS NOT TESTED")

    def environment(self):
        """Its libraries are unpacked beside it."""
        libraries = (pathlib.Path(sys.prefix) / "unpacked" / "usr" / "lib").glob("*-linux-gnu")
        return {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}

    def command(self):
        return [self.program(), "-db", "-f", str(self.file)]

    def with_replica(self, text, number, replica):
        for old, new in ((50051, replica.grpc_port), (8080, replica.http_port)):
            text = text.replace(f" replica-{number}:{old}", f" 127.0.0.1:{new}")
        return text

    def with_ports(self, text):
        for old, new in ((":50050", self.port), (":8080", self.http_port), ("127.0.0.1:8404", self.admin_port)):
            assert f"bind {old}" in text
            text = text.replace(f"bind {old}", f"bind 127.0.0.1:{new}")
        return text

    def healthy(self):
        states = re.findall(r'haproxy_server_status\{proxy="(\w+)",server="[\w-]+",state="UP"\} (\d)', self.admin("/metrics"))
        return {name: sum(int(up) for other, up in states if other == name) for name, _ in states}


class Fleet:
    """.replicas, .proxy; stops them at its end."""

    def __init__(self, kind, program, model_folder, folder, flags=()):
        kind.program()  # Skips before anything is started.
        self.folder = folder
        self.replicas = [Replica(program, model_folder, folder / f"replica-{i}", flags) for i in range(REPLICAS)]
        try:
            for replica in self.replicas:
                replica.process.wait_until_ready()
            self.proxy = kind(self.replicas, folder)
        except BaseException:
            self.stop_replicas()
            raise
        self.proxy.wait_for_healthy(REPLICAS)

    def requests(self):
        return sum(replica.requests() for replica in self.replicas)

    def stop_replicas(self):
        for replica in self.replicas:
            replica.process.process.kill()
            replica.process.stop()

    def stop(self):
        self.proxy.stop()
        self.stop_replicas()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()
