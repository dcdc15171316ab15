#!/usr/bin/env python3
"""Measures a real server for compare.py: what its steps take, what rests cost, and loads to hold the simulator against.

    PYTHON tests/sim/measure.py measured.json [--programs build] [--rounds 4] [--seconds 8] [--most 32] [-- FLAGS OF HMAR-SERVER]

Without --programs hmar-server, hmar and hmar-load come from PATH. PYTHON has prometheus_client, and nothing else of the tests: so it
runs on a machine with a GPU, too. Loads take turns in rounds, since a machine's speed drifts. It wants a machine that does nothing else.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

RATES = (0.3, 0.6)  # Poisson, of what the most calls at a time make.
RESTS = (0.03, 0.1, 0.3, 1.0)  # Seconds.
CALLS_AFTER_RESTS = 8  # Of each, a round.
EDGE = 0.7  # Seconds at a load's begin and end that its steps are not counted in.
COUNTERS = {"steps": "hmar_step_duration_seconds_count", "step_seconds": "hmar_step_duration_seconds_sum",
            "rows": "hmar_step_tokens_sum", "decode_seconds": "hmar_decode_duration_seconds_sum",
            "busy_seconds": "hmar_device_busy_seconds_total"}


def closed_loops(most):
    """Calls at a time: of those that make the table of steps, and of those that are held against it."""
    table = [2 ** power for power in range(most.bit_length()) if 2 ** power <= most]
    others = {3 * 4 ** power for power in range(most.bit_length()) if 3 * 4 ** power < most} | {most * 3 // 4}
    return table, sorted(others - set(table))


class Server:
    """The real one: loads of hmar-load, with what its metrics counted meanwhile."""

    def __init__(self, programs, folder, address, metrics):
        self._programs, self._folder, self.address, self._metrics = programs, folder, address, metrics

    def counts(self):
        names = {metric: name for name, metric in COUNTERS.items()}
        counts = {"seconds": time.monotonic()}
        with urllib.request.urlopen(f"http://{self._metrics}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in names:
                    counts[names[sample.name]] = sample.value
                elif sample.name == "hmar_images_total" and sample.labels["outcome"] == "done":
                    counts["images"] = sample.value
                elif sample.name == "hmar_scale_device_seconds_total":
                    counts[f"scale{sample.labels['scale']}"] = sample.value
        return counts

    def load(self, flag, value, seconds):
        """A load's figures; None if nothing came of it."""
        path = self._folder / "load.json"
        path.unlink(missing_ok=True)
        command = [self._programs["hmar-load"], "--server", self.address, flag, str(value), "--duration", str(seconds), "--warm-up", "1",
                   "--format", "rgb", "--seed", str(time.time_ns() % 2 ** 31), "--quiet", "--json", str(path)]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(1 + EDGE)
        before = self.counts()
        time.sleep(seconds - 2 * EDGE)
        after = self.counts()
        running.wait(timeout=seconds + 300)
        (report,) = json.loads(path.read_text())["runs"]
        latency = report["all"]["latency_ms"]
        if "p50" not in latency or after["images"] == before["images"]:
            return None
        return {name: after[name] - before[name] for name in after} | {
            "images_per_second": report["sustained_images_per_second"], "p50": latency["p50"], "p90": latency["p90"],
            "p99": latency["p99"]}

    def after_rests(self, rest):
        """[rest, device seconds] of lone images that come one after the other with at least such a rest between them, medians."""
        rests, seconds = [], []
        before = self.counts()
        for seed in range(CALLS_AFTER_RESTS):
            time.sleep(rest)
            subprocess.run([self._programs["hmar"], "generate", "--server", self.address, "--class", "1", "--seed", str(seed), "--quiet",
                            "--out", str(self._folder / "pictures")], check=True, stdout=subprocess.DEVNULL)
            after = self.counts()
            seconds.append(after["step_seconds"] - before["step_seconds"])
            rests.append(after["seconds"] - before["seconds"] - seconds[-1])
            before = after
        return [statistics.median(rests), statistics.median(seconds)]


@contextlib.contextmanager
def started(programs, flags, folder):
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen([programs["hmar-server"], "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--no-access-log",
                                    "--drain-delay-seconds", "0", "--port-file", str(folder / "port"), *flags], stderr=out)
    try:
        while not (folder / "port").exists():
            if process.poll() is not None:
                sys.exit(log.read_text())
            time.sleep(0.1)
        address = "127.0.0.1:" + (folder / "port").read_text().strip()
        subprocess.run([programs["hmar"], "health", "--server", address, "--wait", "300"], check=True, stdout=subprocess.DEVNULL)
        port = re.search(r"metrics on port (\d+)", log.read_text())[1]
        yield Server(programs, folder, address, f"127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def measure(server, most, rounds, seconds):
    """{"loads": {"--concurrency 1": [figures of each round]}, "after_rests": {"0.1": [[rest, seconds] of each]}}."""
    table, others = closed_loops(most)
    server.load("--concurrency", most, 4)  # Warm-up.
    first = server.load("--concurrency", most, seconds)
    if first is None:
        sys.exit("not one call came back: this machine has too much else to do")
    open_loads = [("--rate", round(part * first["images_per_second"], 1)) for part in RATES]
    measured, rests = {}, {}
    for _ in range(rounds):
        for rest in RESTS:
            rests.setdefault(str(rest), []).append(server.after_rests(rest))
        for flag, value in [("--concurrency", calls) for calls in table + others] + open_loads:
            one = server.load(flag, value, seconds * (3 if flag == "--rate" else 1))
            if one is None:
                print(f"{flag} {value}: nothing came of it", flush=True)
                continue
            measured.setdefault(f"{flag} {value}", []).append(one)
            print(f"{flag} {value}: {one['images_per_second']:.2f} images/s, p50 {one['p50']:.1f} ms", flush=True)
    return {"loads": measured, "after_rests": rests}


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--programs", type=pathlib.Path, help="a build folder")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=8, help="of a closed loop; an open one takes three times as long")
    parser.add_argument("--most", type=int, default=32, help="calls at a time")
    own = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    arguments = parser.parse_args(sys.argv[1:own])
    found = arguments.programs
    programs = {name: str(found / folder / name) if found else shutil.which(name)
                for name, folder in (("hmar-server", "server"), ("hmar", "client"), ("hmar-load", "client"))}
    if missing := [name for name, path in programs.items() if path is None]:
        sys.exit(f"not on the PATH: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as name, started(programs, sys.argv[own + 1:], pathlib.Path(name)) as server:
        print(machine(), flush=True)
        told = {"machine": machine(), "most": arguments.most, "rounds": arguments.rounds, "seconds": arguments.seconds}
        arguments.out.write_text(json.dumps(told | measure(server, arguments.most, arguments.rounds, arguments.seconds)) + "\n")


if __name__ == "__main__":
    main()
