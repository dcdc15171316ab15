"""A real hmar-server under test: its process, ports, output, channel and metrics."""
import functools
import re
import subprocess
import threading
import time
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hmar.v1 import image_generation_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

READINESS = "hmar.v1.ImageGenerationService"
GENEROUS_SECONDS = 180  # A limit for waits that end in seconds on a calm machine.


class ServerProcess:
    """Starts hmar-server on free ports of this host. Its output is read as it comes, so that it never blocks on it;
    with stdout, a file, only its standard error is. The flag --metrics= is for a server without metrics."""

    def __init__(self, program, flags, folder, stdout=None):
        self.port_file = folder / "port"
        defaults = ["--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", "--drain-delay-seconds=0", f"--port-file={self.port_file}"]
        given = {flag.partition("=")[0] for flag in flags}
        command = [str(program), *(flag for flag in defaults if flag.partition("=")[0] not in given),
                   *(flag for flag in flags if flag != "--metrics=")]
        if stdout is None:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        else:
            self.process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True)
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._channel = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stop()

    def _read(self):
        for line in self.process.stdout or self.process.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self):
        with self._news:
            return "\n".join(self.lines)

    def _wait_for(self, what, find):
        """find(), once it is not None; looked at again with each line of output."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        with self._news:
            while (found := find()) is None:
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    raise AssertionError(f"no {what}:\n" + "\n".join(self.lines))
                self._news.wait(timeout=min(left, 0.1))  # A file comes without a line.
            return found

    def wait_for_line(self, part, times=1):
        """The line of output that contains this for the time `times`, once there is one."""
        def found():
            lines = [line for line in self.lines if part in line]
            return lines[times - 1] if len(lines) >= times else None
        return self._wait_for(f"{times} lines with {part!r}", found)

    @functools.cached_property
    def port(self):
        def read():
            text = self.port_file.read_text() if self.port_file.exists() else ""
            return int(text) if text.endswith("\n") else None
        return self._wait_for("port file", read)

    @functools.cached_property
    def metrics_port(self):
        def read():
            ports = re.findall(r"metrics on port (\d+)", "\n".join(self.lines))
            return int(ports[0]) if ports else None
        return self._wait_for("metrics port in the log", read)

    @functools.cached_property
    def http_port(self):
        """With the flag --http."""
        def read():
            ports = re.findall(r"HTTP on \S+, port (\d+)", "\n".join(self.lines))
            return int(ports[0]) if ports else None
        return self._wait_for("HTTP port in the log", read)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def channel(self):
        if self._channel is None:
            self._channel = grpc.insecure_channel(self.address, options=[("grpc.max_receive_message_length", 1 << 28)])
        return self._channel

    def stub(self):
        return image_generation_pb2_grpc.ImageGenerationServiceStub(self.channel())

    def health(self):
        return health_pb2_grpc.HealthStub(self.channel())

    def wait_until_ready(self):
        """Returns when the health service says SERVING."""
        watch = self.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=GENEROUS_SECONDS)
        try:
            for state in watch:
                if state.status == health_pb2.HealthCheckResponse.SERVING:
                    return
        except grpc.RpcError as error:
            raise AssertionError(f"{error.code()}: {error.details()}\n{self.output}") from error
        finally:
            watch.cancel()

    def metrics_text(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as response:
            return response.read().decode()

    def metric(self, name, **labels):
        """The sum of all samples of this name whose labels include these."""
        return sum(sample.value for family in text_string_to_metric_families(self.metrics_text())
                   for sample in family.samples
                   if sample.name == name and labels.items() <= sample.labels.items())

    def wait_for_metric(self, predicate, name, **labels):
        """Scrapes until the metric's value satisfies the predicate; returns the value."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while True:
            value = self.metric(name, **labels)
            if predicate(value):
                return value
            assert time.monotonic() < deadline, f"{name}{labels} is still {value}"

    def wait_until_idle(self):
        self.wait_for_metric(lambda images: images == 0, "hmar_queue_images")
        self.wait_for_metric(lambda images: images == 0, "hmar_running_images")

    def memory_mb(self, field):
        """A line of /proc/PID/status that is in kB: VmRSS, VmHWM, ..."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith(field + ":"))
        return int(line.split()[1]) / 1024

    def wait_for_exit(self):
        code = self.process.wait(timeout=GENEROUS_SECONDS)
        self._reader.join(timeout=GENEROUS_SECONDS)
        return code

    def stop(self):
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.wait_for_exit()
