#!/usr/bin/env python3
"""Makes a device's profile of what measure.py measured, and holds the simulator's one server against the same real one.

    PYTHON tests/sim/measure.py measured.json --programs build
    PYTHON tests/sim/compare.py measured.json --device cpu-2 [--build-dir build] [--write]

Closed loops of 1, 2, 4, ... calls at a time say what steps take: their rows, pictures and seconds, of a lone image scale by scale. Lone
calls after rests say what a rest costs. With that profile hmar-sim is given the same loads, and those that it was not made from: other
closed loops, and Poisson calls at the rate that came. What is compared are medians over the rounds. --write puts the profile into
devices.json and the comparison into compare.json, both under the device's name.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

from measure import closed_loops

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]


def median(rounds, name):
    return statistics.median(one[name] for one in rounds)


def mean_of(rounds, above, below):
    """A ratio of sums, for each round; the median of these."""
    return statistics.median(one[above] / one[below] for one in rounds)


def rising(points):
    """Points of a table: rows to seconds, neither of them falling."""
    table, least = [], 0.0
    for rows, seconds in sorted(points.items()):
        least = max(seconds, least + 1e-6)
        table.append([round(rows, 1), round(least, 6)])
    return table


class Profile:
    """What devices.json has of a device, by what was measured of it. `passes`: rows of the model's passes, scale by scale."""

    def __init__(self, measured, passes):
        self._loads, self._rests, self._passes = measured["loads"], measured["after_rests"], passes
        self._table, _ = closed_loops(measured["most"])
        self._alone = self._loads["--concurrency 1"]
        self._between = min(statistics.median(max(0.0, one["seconds"] - one["busy_seconds"]) / one["steps"]
                                              for one in self._loads[f"--concurrency {calls}"]) for calls in self._table)
        self._picture = min(mean_of(rounds, "decode_seconds", "images") for rounds in self._loads.values())

    def _points_alone(self):
        """Scale by scale; the last one has its picture, which is counted by itself."""
        points = {}
        for scale, rows in enumerate(self._passes):
            seconds = mean_of(self._alone, f"scale{scale}", "images")
            if scale == len(self._passes) - 1:
                seconds -= mean_of(self._alone, "decode_seconds", "images")
            points[sum(rows) / len(rows)] = seconds / len(rows)
        return rising(points)

    def _points_shared(self):
        """Steps that images share, in the mean of each load. A closed loop always has the next one: the rest of its time, in which
        others' pictures are encoded and sent, is theirs."""
        points = {}
        for calls in self._table[1:]:
            rounds = self._loads[f"--concurrency {calls}"]
            points[mean_of(rounds, "rows", "steps")] = (
                mean_of(rounds, "seconds", "steps") - self._between - self._picture * mean_of(rounds, "images", "steps"))
        return rising(points)

    def _after_rest(self, on_device):
        points, most = [], 0.0
        for rounds in self._rests.values():
            most = max(most, statistics.median(seconds for _, seconds in rounds) - on_device)
            points.append([round(statistics.median(rest for rest, _ in rounds), 3), round(most, 6)])
        return points

    def json(self):
        on_device = mean_of(self._alone, "step_seconds", "images")
        host = sum(map(len, self._passes)) * self._between
        # A call's deviation is that of its steps, of which the long ones count.
        deviation = statistics.median((one["p90"] / one["p50"] - 1) / 1.2816 for one in self._alone)
        return {"forward": self._points_shared(), "alone": self._points_alone(), "picture_seconds": round(self._picture, 6),
                "decoder_seconds": 0, "after_rest": self._after_rest(on_device), "between_steps_seconds": round(self._between, 6),
                "answer_seconds": round(max(0.0, median(self._alone, "p50") / 1e3 - on_device - host), 6),
                "jitter": round(min(0.3, max(0.0, deviation * 4 ** 0.5)), 3)}


def simulate(arguments, devices, *flags):
    command = [f"{arguments.build_dir}/tests/sim/hmar-sim", "--devices", str(devices), "--device", arguments.device, *map(str, flags)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPO).stdout)


def compare(arguments, devices, measured):
    """Rows of a load, and of each of its figures what was real and what is simulated."""
    rows = []
    table, _ = closed_loops(measured["most"])
    for load, rounds in measured["loads"].items():
        flag, value = load.split()
        if flag == "--rate":  # A short run of Poisson calls is not at its rate: what came is what the simulation gets.
            value = round(statistics.mean(one["images_per_second"] for one in rounds), 2)
        seconds = max(20, min(600, 20_000 / median(rounds, "images_per_second")))
        simulated = simulate(arguments, devices, flag, value, "--seconds", seconds, "--warm-up", seconds / 20, "--principals", 1, "--json", "-")
        latency = simulated["all"]["latency_ms"]
        rows.append({"load": load, "in_table": flag == "--concurrency" and int(value) in table,
                     "images_per_second": [median(rounds, "images_per_second"), simulated["fleet"]["images_per_second"]],
                     "p50_ms": [median(rounds, "p50"), latency["p50"]], "p99_ms": [median(rounds, "p99"), latency["p99"]],
                     "p50_of_rounds": [round(one["p50"], 1) for one in rounds]})
    return rows


def cell(pair, digits):
    real, simulated = pair
    return f"{real:.{digits}f} | {simulated:.{digits}f} | {simulated / real - 1:+.1%}"


def show(rows):
    """In Markdown."""
    print("| load | images/s real | simulated | | p50 real, ms | simulated | | p99 real, ms | simulated | |\n" + "|---" * 10 + "|")
    for row in rows:
        load = f"`{row['load']}`" + ("" if row["in_table"] else ", held out")
        print(f"| {load} | {cell(row['images_per_second'], 2)} | {cell(row['p50_ms'], 1)} | {cell(row['p99_ms'], 1)} |")


def text_of(devices):
    """JSON with a point's two numbers on one line."""
    text = json.dumps(devices, indent=1)
    for device in devices.values():
        for points in (device["forward"], device.get("alone", []), device.get("after_rest", [])):
            text = text.replace(json.dumps(points, indent=1).replace("\n", "\n  "), json.dumps(points))
    return text + "\n"


def lines_of(compared):
    """JSON with a load on each line."""
    devices = [f' {json.dumps(device)}: {{"machine": {json.dumps(of["machine"])}, "rows": [\n  '
               + ",\n  ".join(json.dumps(row) for row in of["rows"]) + "\n ]}" for device, of in compared.items()]
    return "{\n" + ",\n".join(devices) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=pathlib.Path)
    parser.add_argument("--device", required=True, help="of devices.json: what is not measured stays as it is there")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    measured = json.loads(arguments.measured.read_text())
    devices_file, compared_file = HERE / "devices.json", HERE / "compare.json"
    devices = json.loads(devices_file.read_text())
    profile = Profile(measured, simulate(arguments, devices_file, "--passes")).json()
    told = f"measure.py, {measured['rounds']} rounds of {measured['seconds']:g} s: {measured['machine']}"
    devices[arguments.device] = devices[arguments.device] | profile | {"source": told}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as tried:
        tried.write(json.dumps(devices))
        tried.flush()
        rows = compare(arguments, tried.name, measured)
    print(json.dumps(profile))
    show(rows)
    if arguments.write:
        devices_file.write_text(text_of(devices))
        compared = json.loads(compared_file.read_text()) | {arguments.device: {"machine": measured["machine"], "rows": rows}}
        compared_file.write_text(lines_of(compared))


if __name__ == "__main__":
    main()
