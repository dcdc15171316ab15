"""What becomes of latency at and beyond a server's limit, each part held against the same server when it is idle.

    "$(deploy/setup.sh --print-python)" tests/bench/overload_bench.py [--parts load,overload,...] [--build-dir build]

Every figure is hmar-load's, but for the cancels: those are timed against hmar_running_images, read without a pause. Ratios
are within one run on one server; it wants a machine that does nothing else.
"""
import argparse
import contextlib
import json
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "e2e"))
import stubs  # noqa: E402

PRIORITIES = """
[[mix]]
name = "urgent"
priority = 5

[[mix]]
name = "others"
weight = 4
"""
SMALL_AND_LARGE = """
[[mix]]
name = "large"
images = 64
principal = "large"
"""


class Bench:
    """One server and what it does when nothing else is asked of it: latencies in ms, speed in images/s."""

    def __init__(self, server, arguments, folder):
        self.server, self.seconds, self._folder = server, arguments.seconds, folder
        self._program = f"{arguments.build_dir}/client/hmar-load"
        self.load("--concurrency", "8", "--requests", "40")  # Warm-up.
        idle = self.load("--concurrency", "1", "--requests", "100")["all"]["latency_ms"]
        self.idle_ms, idle_p99 = idle["p50"], idle["p99"]
        self.saturation = self.load("--concurrency", "64", "--warm-up", "5", "--duration", self.seconds)[
            "sustained_images_per_second"]
        print(f"alone: p50 {self.idle_ms:.0f} ms, p99 {idle_p99:.0f} ms; 64 in flight: {self.saturation:.1f} images/s", flush=True)

    def command(self, *options, mix=None):
        options = [str(option) for option in options]
        if mix is None:
            options += ["--format", "rgb"]
        else:
            path = self._folder / f"mix{len(list(self._folder.iterdir()))}.toml"
            path.write_text(mix)
            options += ["--mix", str(path)]
        return [self._program, "--server", self.server.address, "--quiet", *options]

    def load(self, *options, mix=None):
        """One run of hmar-load, from its JSON report."""
        report = self._folder / "report.json"
        subprocess.run(self.command(*options, "--json", report, mix=mix), check=True, stdout=subprocess.DEVNULL)
        (run,) = json.loads(report.read_text())["runs"]
        return run

    def to_idle(self, latency):
        return " ".join(f"{name} {latency[name]:.0f} ms ({latency[name] / self.idle_ms:.1f} times alone)" for name in ("p50", "p99"))


def load_part(bench):
    """p99 by load: at most 3 times alone at 80 %."""
    for arrivals in ("constant", "poisson"):
        for share in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
            run = bench.load("--rate", share * bench.saturation, "--arrivals", arrivals, "--duration", bench.seconds, "--warm-up", 3)
            print(f"{share:.0%} of it, {arrivals}: {bench.to_idle(run['all']['latency_ms'])}", flush=True)


def overload_part(bench):
    """Three times what it can: refusals within 5 ms, estimates within 30 % at the median and 2 times at p95, no growth."""
    options = ("--rate", 3 * bench.saturation, "--max-outstanding", 4096)
    bench.load(*options, "--duration", 15)
    before = bench.server.memory_mb("VmRSS")
    seen = bench.load(*options, "--duration", 2 * 60)["all"]
    estimates, refusals = seen["estimate_ratio"], seen["refusal_ms"]
    print(f"3 times: {seen['ok']} served, {seen['failed']} refused; estimate / truth p50 {estimates['p50']:.2f} p95 {estimates['p95']:.2f}; "
          f"refusals p50 {refusals['p50']:.1f} p99 {refusals['p99']:.1f} ms; memory {before} to {bench.server.memory_mb('VmRSS')} MB, "
          f"peak {bench.server.memory_mb('VmHWM')}", flush=True)


def priority_part(bench):
    """A fifth of twice what it can at priority 5: its p99 at most 3 times alone."""
    options = ("--duration", 2 * bench.seconds, "--warm-up", 10)
    alone = bench.load("--rate", 0.4 * bench.saturation, *options)["all"]["latency_ms"]
    print(f"as many without the others: {bench.to_idle(alone)}", flush=True)
    run = bench.load("--rate", 2 * bench.saturation, *options, "--max-outstanding", 4096, mix=PRIORITIES)
    for kind in run["kinds"]:
        print(f"2 times, {kind['name']}: {kind['ok']} served, {kind['failed']} refused, {bench.to_idle(kind['latency_ms'])}", flush=True)


def principals_part(bench):
    """One with 1,024 images in line, one that sends one at a time: its p50 at most 2.5 times alone."""
    one = ("--concurrency", 1, "--principal", "small")
    alone = bench.load(*one, "--requests", 60)["all"]["latency_ms"]
    large = subprocess.Popen(bench.command("--concurrency", 16, "--requests", 16, mix=SMALL_AND_LARGE), stdout=subprocess.DEVNULL)
    with contextlib.ExitStack() as stack:
        stack.callback(large.wait)
        stack.callback(large.kill)
        bench.server.wait_for_metric(lambda waiting: waiting >= 900, "hmar_queue_images")
        beside = bench.load(*one, "--duration", 30)["all"]["latency_ms"]
        waiting = bench.server.metric("hmar_queue_images")
    print(f"beside 1,024 of another ({waiting:.0f} still wait): p50 {beside['p50']:.0f} ms, {beside['p50'] / alone['p50']:.2f} times alone; "
          f"p99 {beside['p99']:.0f} ms", flush=True)


def cancel_part(bench):
    """From a cancel to the slot that is free, against the step that it may have to wait for."""
    from hmar.v1 import image_generation_pb2 as pb
    from requests_under_test import request

    def wait_for(images):
        while not re.search(rf"^hmar_running_images{{[^}}]*}} {images}$", bench.server.metrics_text(), re.MULTILINE):
            pass

    dice, waited, steps = random.Random(1), [], []
    bench.server.wait_until_idle()
    for _ in range(200):
        call = bench.server.stub().Generate(request())
        wait_for(1)
        time.sleep(dice.uniform(0, 0.6 * bench.idle_ms / 1000))
        start = time.perf_counter()
        call.cancel()
        wait_for(0)
        waited.append(1000 * (time.perf_counter() - start))
    for _ in range(20):  # A preview ends each scale's last step.
        last = time.perf_counter()
        for event in bench.server.stub().Generate(request(previews=pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FAST))):
            if event.WhichOneof("event") in ("preview", "image"):
                now = time.perf_counter()
                steps.append(1000 * (now - last))
                last = now
    waited.sort()
    print(f"cancel to free slot: p50 {statistics.median(waited):.1f} ms, p99 {waited[-2]:.1f} ms; "
          f"a lone image's passes: {bench.idle_ms / 11:.1f} ms on average, scales up to {max(steps):.1f} ms", flush=True)


PARTS = {"load": load_part, "overload": overload_part, "priority": priority_part, "principals": principals_part, "cancel": cancel_part}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=int, default=15, help="of one load")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        stubs.make(folder)
        from server_process import ServerProcess

        for part in arguments.parts.split(","):
            flags = ["--no-access-log", "--trust-forwarded-for", "--max-queued-images=128", "--max-queued-images-per-client=128"]
            if part == "principals":
                flags[2:] = ["--max-queued-images=4096", "--max-queued-images-per-client=2000"]
            with ServerProcess(f"{arguments.build_dir}/server/hmar-server", flags, folder) as server:
                server.wait_for_line("ready")
                print(f"{part}: {PARTS[part].__doc__}", flush=True)
                PARTS[part](Bench(server, arguments, folder))


if __name__ == "__main__":
    main()
