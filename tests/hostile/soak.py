"""A real server under everything at once: a mix of calls, clients that vanish, stall and attack, signals, a device that
runs out of memory. Afterwards: is all back where it was, and is everything accounted for?

    tests/soak.sh MINUTES [--seed 1] [--no-faults] [--build-dir build]

In rounds of about a minute; after each all clients go, and the server must be as quiet as before it. The first one only
warms up. Then it drains under calls, and its books are held against what the clients saw. Exits with 1 and says what
was wrong, if anything was.
"""
import argparse
import collections
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
MAX_LEFT = 1.2          # Resident memory after the last round, to that after the warm-up: it varies by 40 MB.
MAX_TREND_MB = 24       # From the median of the first third of the rounds to that of the last,
ROUNDS_OF_A_TREND = 12  # where there are enough of them to tell.
MAX_MORE_THREADS = 4    # gRPC's own come and go.
MAX_MORE_FILES = 8
DRAINED_CALLS = 6
FLAGS = ["--threads=1", "--trust-forwarded-for", "--send-seconds=2", "--receive-seconds=2", "--max-queued-images=200",
         "--max-queued-images-per-client=100", "--drain-seconds=120"]
NO_MEMORY_ONE_IN = 1000  # Of the large allocations of the model: a step has some hundred.


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn")
    parser.add_argument("--no-faults", action="store_true", help="the device always has memory")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    parser.add_argument("--model", default=str(REPO / "deploy" / "models" / "hmar-cifar10"))
    return parser.parse_args()


class Soak:
    """One server, from its start to its end."""

    def __init__(self, arguments, folder):
        from server_process import ServerProcess
        from soak_members import Crowd

        self.arguments, self.folder = arguments, folder
        self.build = pathlib.Path(arguments.build_dir).resolve()
        self.config = folder / "hmar.toml"
        self.config.write_text('log-level = "info"\n')
        self.access = folder / "access.jsonl"
        self.rows, self.reports, self.wrong = [], [], []
        with self.access.open("w") as access, preloaded(self._faults()):
            self.server = ServerProcess(
                self.build / "server" / "hmar-server",
                [f"--model=m={arguments.model}", f"--config={self.config}", *FLAGS], folder, access)
        self.crowd = Crowd(self.server, arguments.seed, self.config)

    def _faults(self):
        return None if self.arguments.no_faults else self.build / "tests" / "fakes" / "lib" / "no_memory_on_signal.so"

    def run(self):
        """All rounds, the drain, the books."""
        rounds = 1 + max(1, round(self.arguments.minutes))
        seconds = self.arguments.minutes * 60 / rounds
        self.server.wait_until_ready()
        self._leave()
        self._before = self._gauges()
        for number in range(rounds):
            self._round(number, seconds)
        self._check_growth()
        text = self.server.metrics_text()
        ends = self._drain()
        self._check_books(text, ends)
        return self.wrong

    def _round(self, number, seconds):
        start = time.monotonic()
        if self._faults():
            self.server.process.send_signal(signal.SIGRTMIN)
        report = self.folder / f"load-{number}.json"
        load = subprocess.Popen(
            [self.build / "client" / "hmar-load", "--server", self.server.address, "--concurrency", "16",
             "--duration", str(seconds), "--mix", REPO / "tests" / "hostile" / "soak_mix.toml",
             "--seed", str(self.arguments.seed), "--distinct-seeds", "8", "--verify", "--metrics",
             f"127.0.0.1:{self.server.metrics_port}", "--json", report, "--quiet"], stdout=subprocess.PIPE, text=True)
        self.crowd.run(seconds)
        said, _ = load.communicate(timeout=300)
        if self._faults():
            self.server.process.send_signal(signal.SIGRTMIN)
        if load.returncode != 0:
            self.wrong.append(f"hmar-load ended with {load.returncode}:\n{said}")
        self.reports.append(json.loads(report.read_text()))
        self._await_quiet()
        self.rows.append([number, time.monotonic() - start, self.server.metric("hmar_images_total"),
                          self.server.memory_mb("VmRSS"), self.server.memory_mb("VmHWM"), *self._threads_and_files()])
        print(ROW.format(*self.rows[-1]), flush=True)

    def _leave(self):
        """Closes the connection that was asked whether the server is ready."""
        self.server.channel().close()
        self.server._channel = None

    def _gauges(self):
        from soak_books import gauges

        return gauges(self.server.metrics_text())

    def _threads_and_files(self):
        process = f"/proc/{self.server.process.pid}"
        return len(os.listdir(f"{process}/task")), len(os.listdir(f"{process}/fd"))

    def _await_quiet(self):
        """Nothing waits, runs, is held or connected, as at the start."""
        from soak_books import changes

        self._await(lambda: not changes(self._before, self._gauges()))
        self.wrong += changes(self._before, self._gauges())
        # The server gives memory back when its last connection goes, and some of that one's was freed only afterwards.
        socket.create_connection(("127.0.0.1", self.server.port)).close()
        self._await(lambda: self.server.metric("hmar_connections") == 0)

    @staticmethod
    def _await(fine):
        """Looks until it is fine, for a minute at most: what is freed tells nobody."""
        deadline = time.monotonic() + 60
        while not fine() and time.monotonic() < deadline:
            time.sleep(0.2)

    def _check_growth(self):
        _, _, _, memory, _, threads, files = self.rows[0]
        limits = [MAX_LEFT * memory, threads + MAX_MORE_THREADS, files + MAX_MORE_FILES]
        now = [self.server.memory_mb("VmRSS"), *self._threads_and_files()]
        for what, before, after, limit in zip(("MB", "threads", "descriptors"), (memory, threads, files), now, limits):
            print(f"{what}: {before:.0f} after the warm-up, {after:.0f} at the end (limit {limit:.0f})")
            if after > limit:
                self.wrong.append(f"{before:.0f} {what} after the warm-up, {after:.0f} at the end")
        measured = [row[3] for row in self.rows[1:]]
        if len(measured) >= ROUNDS_OF_A_TREND:
            third = len(measured) // 3
            trend = statistics.median(measured[-third:]) - statistics.median(measured[:third])
            print(f"trend: {trend:+.0f} MB (limit {MAX_TREND_MB:+d})")
            if trend > MAX_TREND_MB:
                self.wrong.append(f"memory grew by {trend:.0f} MB from the first third of the rounds to the last")

    def _drain(self):
        """Calls that were accepted before a SIGTERM are served, and the server exits with 0. Their ids."""
        from hmar.v1 import image_generation_pb2 as pb
        from requests_under_test import images_of, request

        names, accepted, whole = [f"drained-{i}" for i in range(DRAINED_CALLS)], threading.Barrier(DRAINED_CALLS + 1), []

        def call(name):
            with self.crowd.stub() as stub:
                stream = stub.Generate(request(num_images=2, request_id=name,
                                               previews=pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FULL)), timeout=120)
                assert next(stream).WhichOneof("event") == "accepted"
                accepted.wait(120)
                whole.append(len(images_of(stream)))

        threads = [threading.Thread(target=call, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        accepted.wait(120)
        self.server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        if whole != [2] * DRAINED_CALLS:
            self.wrong.append(f"of {DRAINED_CALLS} calls in a drain these came, with so many images: {whole}")
        if code := self.server.wait_for_exit():
            self.wrong.append(f"the server exited with {code}:\n{self.server.output[-2000:]}")
        return names

    def _check_books(self, text, drained):
        import soak_books

        lines = [json.loads(line) for line in self.access.read_text().splitlines()]
        if {line["code"] for line in lines if line["id"] in drained} != {"OK"}:
            self.wrong.append("a call that was drained is not OK in the access log")
        lines = [line for line in lines if line["id"] not in drained]
        ends = self.crowd.ends
        self.wrong += soak_books.requests_that_disagree(lines, text)
        self.wrong += soak_books.images_that_disagree(lines, text)
        self.wrong += soak_books.ends_that_disagree(lines, ends)
        self.wrong += soak_books.load_that_disagrees(lines, ends, self.crowd.nameless, self.reports)
        self.wrong += self.crowd.failures
        print("requests:", count(line["code"] + " " + line.get("reason", "") for line in lines))
        print("images:", {labels["outcome"]: int(value) for labels, value in soak_books.samples(text, "hmar_images_total")})
        print("members:", dict(sorted(self.crowd.turns.items())))
        if ms := sorted(self.crowd.polite_ms):
            print(f"the polite client: {len(ms)} images, p50 {ms[len(ms) // 2]:.0f} ms, max {ms[-1]:.0f} ms")


ROW = "round {}: {:.0f} s, {:.0f} images so far, {:.1f} MB, peak {:.1f} MB, {} threads, {} descriptors"


def count(things):
    return ", ".join(f"{name.strip()} {number}" for name, number in sorted(collections.Counter(things).items()))


class preloaded:
    """The library in the environment of a process that is started inside; None: nothing."""

    def __init__(self, library):
        self._library = library

    def __enter__(self):
        if self._library is not None:
            os.environ.update(LD_PRELOAD=str(self._library), HMAR_TEST_NO_MEMORY_ONE_IN=str(NO_MEMORY_ONE_IN))

    def __exit__(self, *exception):
        for name in ("LD_PRELOAD", "HMAR_TEST_NO_MEMORY_ONE_IN"):
            os.environ.pop(name, None)


def soak(arguments, folder):
    """What was wrong: sentences, none if all was well. REQUIRES: the stubs can be imported."""
    one = Soak(arguments, folder)
    try:
        return one.run()
    finally:
        one.server.stop()


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Not without ending the server.
    for folder in ("e2e", "hostile"):
        sys.path.insert(0, str(REPO / "tests" / folder))
    import stubs

    with tempfile.TemporaryDirectory() as name:
        stubs.make(name)
        wrong = soak(arguments, pathlib.Path(name))
    print("\n".join(["WRONG:", *wrong]) if wrong else "all is back where it was, and accounted for")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
