#!/usr/bin/env python3
"""Holds the simulator's one server against a real one, on this machine.

    "$(deploy/setup.sh --print-python)" tests/sim/compare.py [--rounds 3] [--seconds 8] [--build-dir build] [--write]

hmar-server runs the bundled model on the CPU. Closed loops of hmar-load of 1, 8, 16 and 32 calls say what its steps take: their
rows, seconds and pictures by its own metrics. With that table hmar-sim is given loads that the table was not made from: other closed
loops, and Poisson arrivals. Loads take turns in rounds, since a machine's speed drifts; what is compared are medians over the rounds.
--write puts the table into devices.json, and everything measured into compare.json. It wants a machine that does nothing else.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from prometheus_client.parser import text_string_to_metric_families

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "e2e"))
import stubs  # noqa: E402

TABLE_LOADS = [("--concurrency", calls) for calls in (1, 8, 16, 32)]
CLOSED_LOADS = [("--concurrency", calls) for calls in (3, 12, 24)]
RATES = (0.3, 0.6)  # Poisson, of what 32 calls at a time make.
# Forward rows of the bundled model's passes by scale, with guidance: a scale's seconds by its passes are a point of the table.
PASSES = [(1,), (8, 4), (18, 9, 9, 9), (32,), (50,), (72,), (128,)]
COUNTERS = {"steps": "hmar_step_duration_seconds_count", "step_seconds": "hmar_step_duration_seconds_sum",
            "rows": "hmar_step_tokens_sum", "decode_seconds": "hmar_decode_duration_seconds_sum",
            "busy_seconds": "hmar_device_busy_seconds_total"}


class Server:
    """The real one: loads of hmar-load, with what its metrics counted meanwhile."""

    def __init__(self, process, build_dir, seconds, folder):
        self.process, self.seconds, self._folder = process, seconds, folder
        self._load = f"{build_dir}/client/hmar-load"

    def counts(self):
        names = {metric: name for name, metric in COUNTERS.items()}
        counts = {"seconds": time.monotonic()}
        for family in text_string_to_metric_families(self.process.metrics_text()):
            for sample in family.samples:
                if sample.name in names:
                    counts[names[sample.name]] = sample.value
                elif sample.name == "hmar_images_total" and sample.labels["outcome"] == "done":
                    counts["images"] = sample.value
                elif sample.name == "hmar_scale_device_seconds_total":
                    counts[f"scale{sample.labels['scale']}"] = sample.value
        return counts

    def load(self, flag, value, seconds):
        """A load's figures, None if nothing came of it. Its first calls fill the server, its last ones empty it: both are counted."""
        path = self._folder / "load.json"
        before = self.counts()
        command = [self._load, "--server", self.process.address, flag, str(value), "--duration", str(seconds), "--warm-up", "1",
                   "--format", "rgb", "--seed", str(int(time.time())), "--quiet", "--json", str(path)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, timeout=seconds + 300)
        after = self.counts()
        (report,) = json.loads(path.read_text())["runs"]
        latency = report["all"]["latency_ms"]
        if "p50" not in latency:
            return None
        return {name: after[name] - before[name] for name in after} | {
            "images_per_second": report["sustained_images_per_second"], "p50": latency["p50"], "p90": latency["p90"],
            "p99": latency["p99"]}


def median(rounds, name):
    return statistics.median(one[name] for one in rounds)


def mean_of(rounds, above, below):
    """A ratio of sums, for each round; the median of these."""
    return statistics.median(one[above] / one[below] for one in rounds)


def table_of(measured):
    """A profile for devices.json. Lone calls give the small steps, scale by scale; crowds the large ones, load by load."""
    alone = measured["--concurrency 1"]
    picture = statistics.median(mean_of(rounds, "decode_seconds", "images") for rounds in measured.values())
    points = {}
    for scale, passes in enumerate(PASSES):
        seconds = mean_of(alone, f"scale{scale}", "images")
        if scale == len(PASSES) - 1:
            seconds -= mean_of(alone, "decode_seconds", "images")
        points[sum(passes) / len(passes)] = seconds / len(passes)
    for flag, calls in TABLE_LOADS[1:]:
        rounds = measured[f"{flag} {calls}"]
        decoding = picture * mean_of(rounds, "images", "steps")
        points[mean_of(rounds, "rows", "steps")] = mean_of(rounds, "step_seconds", "steps") - decoding
    forward, least = [], 0.0
    for rows, seconds in sorted(points.items()):
        least = max(seconds, least + 1e-6)
        forward.append([round(rows, 1), round(least, 6)])
    crowd = measured["--concurrency 32"]
    between = statistics.median(max(0.0, one["seconds"] - one["busy_seconds"] - 1.0) / one["steps"] for one in crowd)
    between = min(between, 0.001)
    steps = sum(len(passes) for passes in PASSES)
    on_device = mean_of(alone, "step_seconds", "images") + steps * between
    # A call's deviation is that of its steps, of which the long ones count.
    deviation = statistics.median((one["p90"] / one["p50"] - 1) / 1.2816 for one in alone)
    return {"forward": forward, "picture_seconds": round(picture, 6), "decoder_seconds": 0,
            "between_steps_seconds": round(between, 6),
            "answer_seconds": round(max(0.0, median(alone, "p50") / 1e3 - on_device), 6),
            "jitter": round(min(0.3, max(0.0, deviation * 4 ** 0.5)), 3)}


def simulate(arguments, devices, flag, value):
    command = [f"{arguments.build_dir}/tests/sim/hmar-sim", "--devices", str(devices), "--device", arguments.device, flag, str(value),
               "--seconds", "600", "--warm-up", "20", "--principals", "1", "--json", "-"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPO).stdout)


def compare(arguments, devices, measured, loads):
    """Rows of (load, real, simulated) for throughput and p50."""
    rows = []
    for flag, value in loads:
        rounds = measured[f"{flag} {value}"]
        simulated = simulate(arguments, devices, flag, value)
        rows.append({"load": f"{flag} {value}",
                     "images_per_second": [median(rounds, "images_per_second"), simulated["fleet"]["images_per_second"]],
                     "p50_ms": [median(rounds, "p50"), simulated["all"]["latency_ms"]["p50"]],
                     "p99_ms": [median(rounds, "p99"), simulated["all"]["latency_ms"]["p99"]],
                     "p50_of_rounds": [round(one["p50"], 1) for one in rounds]})
    return rows


def show(rows):
    print(f"{'load':22} {'images/s real':>13} {'sim':>7} {'':>6}  {'p50 real':>9} {'sim':>8} {'':>6}  {'p99 real':>9} {'sim':>8}")
    for row in rows:
        rate, p50, p99 = row["images_per_second"], row["p50_ms"], row["p99_ms"]
        print(f"{row['load']:22} {rate[0]:13.2f} {rate[1]:7.2f} {rate[1] / rate[0] - 1:+6.1%}  "
              f"{p50[0]:9.1f} {p50[1]:8.1f} {p50[1] / p50[0] - 1:+6.1%}  {p99[0]:9.1f} {p99[1]:8.1f}   rounds' p50 {row['p50_of_rounds']}")


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "?")
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"


def measure(arguments, server, measured):
    """All loads in turn, round by round; the open loops' rates are those of the first round's fullest load."""
    server.load("--concurrency", 16, 4)  # Warm-up.
    first = server.load("--concurrency", 32, server.seconds)
    if first is None:
        sys.exit("not one call came back: this machine has too much else to do")
    open_loads = [("--rate", round(part * first["images_per_second"], 1)) for part in RATES]
    for _ in range(arguments.rounds):
        for flag, value in TABLE_LOADS + CLOSED_LOADS + open_loads:
            seconds = server.seconds * (3 if flag == "--rate" else 1)
            one = server.load(flag, value, seconds)
            if one is None:
                print(f"{flag} {value}: nothing came of it", flush=True)
                continue
            measured.setdefault(f"{flag} {value}", []).append(one)
            print(f"{flag} {value}: {one['images_per_second']:.2f} images/s, p50 {one['p50']:.1f} ms", flush=True)
    return CLOSED_LOADS + open_loads


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of a closed loop; an open one takes three times as long")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    parser.add_argument("--server-build-dir", help="of hmar-server and hmar-load, if another one")
    parser.add_argument("--threads", type=int, default=2, help="of the engine; 1 is disturbed least by what else runs")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    arguments.device = f"cpu-{arguments.threads}"
    server_build_dir = arguments.server_build_dir or arguments.build_dir
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        stubs.make(folder)
        from server_process import ServerProcess  # Needs the stubs.

        print(machine(), flush=True)
        measured = {}
        with ServerProcess(f"{server_build_dir}/server/hmar-server", [f"--threads={arguments.threads}", "--no-access-log"], folder) as process:
            process.wait_until_ready()
            loads = measure(arguments, Server(process, server_build_dir, arguments.seconds, folder), measured)
        table = table_of(measured)
        print(json.dumps(table))
        devices_file = REPO / "tests" / "sim" / "devices.json"
        devices = json.loads(devices_file.read_text())
        devices[arguments.device] = devices["cpu-2"] | table | {"source": f"compare.py --threads {arguments.threads} on {machine()}"}
        tried = folder / "devices.json"
        tried.write_text(json.dumps(devices))
        rows = compare(arguments, tried, measured, TABLE_LOADS + loads)
        show(rows)
        if arguments.write:
            devices_file.write_text(text_of(devices))
            (REPO / "tests" / "sim" / "compare.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


def text_of(devices):
    """JSON with a point's two numbers on one line."""
    text = json.dumps(devices, indent=1)
    for device in devices.values():
        points = device["forward"]
        text = text.replace(json.dumps(points, indent=1).replace("\n", "\n  "), json.dumps(points))
    return text + "\n"


if __name__ == "__main__":
    main()
