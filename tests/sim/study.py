#!/usr/bin/env python3
"""What fleets need, by the simulator: study.json, the page of plots study.png, and the sizing table of README.md.

    PYTHON tests/sim/study.py [--build-dir build] [--jobs 2] [--parts load,budget,slots,balancers,scaler,sizing] [--plots-only | --no-plots]

PYTHON has matplotlib (deploy/setup.sh --deploy installs it). Parts that are not asked for stay as study.json has them; --plots-only
draws what is there; --no-plots needs no matplotlib. The table goes to standard output, in Markdown.
"""
import argparse
import concurrent.futures
import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
SATURATED = {"cpu-2": 20.0, "h100-d16": 490.0, "h200-d16": 500.0}  # images/s; measured anew by the part "load".
SLOS = {"cpu-2": (0.5, 1.0, 2.0), "h100-d16": (0.1, 0.2, 0.5), "h200-d16": (0.1, 0.2, 0.5)}  # Seconds, of 99 calls in 100.
LOADS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
SECONDS = {"cpu-2": 600, "h100-d16": 25, "h200-d16": 25}  # Some 6,000 images at half load.
BUDGETS = (1024, 2048, 4096, 8192, 20480)
SLOTS = (8, 16, 32, 64, 128, 256)
REPLICAS = (1, 2, 4, 8, 16)
TARGETS = (0.05, 0.5)  # Seconds of queue time.
IMAGES = (3, 6)  # Waiting and running, a replica.
FIXED = (6, 8, 12)
# Whose hour is drawn.
HOURS = ("queue time, as it comes", "images a replica, down 10 %/min", "the chart's, and images a replica")
BUSY = (0.75, 0.5)  # The chart's busyPercent, its default first.
# The behavior of the chart's autoscaler, deploy/helm/hmar-server/templates/autoscaling.yaml.
CHART = {"hpa_up_percent": 100, "hpa_up_pods": 2, "hpa_up_period": 60, "hpa_down_window": 600, "hpa_down_percent": 0, "hpa_down_pods": 1,
         "hpa_down_period": 120, "metric_window": 120}
BALANCERS = ("least-request", "random-of-two", "round-robin")


class Simulator:
    """hmar-sim, several at a time. A run is its flags as a dictionary."""

    def __init__(self, build_dir, jobs):
        self._program = f"{build_dir}/tests/sim/hmar-sim"
        self._pool = concurrent.futures.ThreadPoolExecutor(jobs)

    def run(self, flags):
        command = [self._program, "--json", "-"]
        for name, values in flags.items():
            for value in values if isinstance(values, list) else [values]:
                command += [f"--{name.replace('_', '-')}", str(value)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=REPO).stdout)

    def all(self, runs):
        return list(self._pool.map(self.run, runs))


def figures(result):
    """What the study keeps of a run."""
    fleet, everyone = result["fleet"], result["all"]
    return {"images_per_second": fleet["images_per_second"], "p50": everyone["latency_ms"]["p50"],
            "p99": everyone["latency_ms"]["p99"], "within_slo": everyone["within_slo"], "goodput": everyone["goodput"],
            "hours_per_million": fleet.get("device_hours_per_million_images"), "mean_replicas": fleet["mean_replicas"],
            "images_of_a_step": fleet.get("images_of_a_step"), "refused": everyone["refused"], "calls": everyone["calls"]}


def rounded(value):
    """To six digits, which are more than a simulation is right to."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def saturation(simulator, study):
    runs = [{"device": device, "concurrency": 200, "seconds": SECONDS[device] / 2, "warm_up": SECONDS[device] / 10}
            for device in SATURATED]
    study["saturated"] = {device: result["fleet"]["images_per_second"]
                          for device, result in zip(SATURATED, simulator.all(runs), strict=True)}


def poisson(study, device, load, **flags):
    """Poisson calls of one image, at this part of what the replicas can make."""
    rate = load * study["saturated"][device] * flags.get("replicas", 1)
    return {"device": device, "rate": rate, "seconds": SECONDS[device], "warm_up": SECONDS[device] / 10} | flags


def load(simulator, study):
    saturation(simulator, study)
    study["load"] = {}
    for device in SATURATED:
        runs = [poisson(study, device, part) for part in LOADS]
        study["load"][device] = [figures(result) | {"load": part}
                                 for part, result in zip(LOADS, simulator.all(runs), strict=True)]


def option(simulator, study, flag, values, device="h200-d16"):
    """Latency at three loads and the most that can be made, by an option of the server."""
    curves = {}
    for part in (0.3, 0.6, 0.8):
        runs = [poisson(study, device, part, **{flag: value}) for value in values]
        curves[str(part)] = [figures(result) for result in simulator.all(runs)]
    full = [{"device": device, "concurrency": 300, "seconds": SECONDS[device] / 2, "warm_up": 2, flag: value} for value in values]
    curves["full"] = [figures(result) for result in simulator.all(full)]
    return {"values": values, "curves": curves}


def budget(simulator, study):
    study["budget"] = option(simulator, study, "max_step_rows", BUDGETS)


def slots(simulator, study):
    study["slots"] = option(simulator, study, "max_images_in_flight", SLOTS)


def balancers(simulator, study):
    """One call in ten asks for 8 images: calls of different sizes tell balancers apart."""
    study["balancers"] = {}
    for balancer in BALANCERS:
        runs = [{"device": "cpu-2", "mix": "tests/sim/mix.toml", "replicas": replicas, "balancer": balancer, "seconds": 600,
                 "warm_up": 60, "rate": 0.7 * study["saturated"]["cpu-2"] * replicas / 1.7} for replicas in REPLICAS]
        study["balancers"][balancer] = [figures(result) for result in simulator.all(runs)]


def scaler(simulator, study):
    """An hour that swings as a day does, with bursts of twice the rate, by the autoscaler's target."""
    rate = 4 * study["saturated"]["cpu-2"]
    hour = {"device": "cpu-2", "rate": rate, "seconds": 3600, "warm_up": 600, "day": 3000, "day_swing": 0.7, "burst_times": 2,
            "burst": 60, "replicas": 4, "zones": 2, "hpa_min": 2, "hpa_max": 40, "slo": 2}
    queue = [{"hpa_target": f"queue-seconds={target}"} for target in TARGETS]
    images = [{"hpa_target": f"images-per-pod={target}"} for target in IMAGES]
    calm = {"hpa_down_percent": 10}
    chart = [CHART | {"hpa_target": ["wait-seconds=5", f"busy-share={busy}"]} for busy in BUSY]
    with_images = [CHART | {"hpa_target": ["wait-seconds=5", "busy-share=0.75", f"images-per-pod={target}"]} for target in IMAGES]
    ways = {"fixed": (FIXED, [{"replicas": count} for count in FIXED]), "queue time, as it comes": (TARGETS, queue),
            "queue time, down 10 %/min": (TARGETS, [calm | one for one in queue]),
            "images a replica, as it comes": (IMAGES, images),
            "images a replica, down 10 %/min": (IMAGES, [calm | one for one in images]),
            "the chart's, by busy share": (BUSY, chart), "the chart's, and images a replica": (IMAGES, with_images)}
    study["scaler"] = {}
    for name, (values, runs) in ways.items():
        results = simulator.all([hour | one for one in runs])
        study["scaler"][name] = {"values": values, "points": [figures(result) for result in results]}
        if name in HOURS:
            study["scaler"][name]["moments"] = {key: [round(moment[key]) for moment in results[-1]["moments"]]
                                                for key in ("seconds", "ready", "calls_per_second")}


def sizing(simulator, study):
    """The highest of LOADS at which 99 calls in 100 meet an SLO, by replicas."""
    study["sizing"] = {}
    for device, slos in SLOS.items():
        rows = study["sizing"][device] = []
        for replicas in ((1, 4, 16) if device == "cpu-2" else (1, 4)):
            runs = [poisson(study, device, part, replicas=replicas) for part in LOADS]
            results = list(zip(LOADS, map(figures, simulator.all(runs)), strict=True))
            for slo in slos:
                good = [(part, one) for part, one in results if one["p99"] <= 1e3 * slo and one["refused"] == 0]
                rows.append({"replicas": replicas, "slo": slo, "load": good[-1][0] if good else 0} | (good[-1][1] if good else {}))


def table(study):
    lines = ["| device | replicas | 99 of 100 calls within | images/s a replica | of what it can | device hours a million images |",
             "|---|---|---|---|---|---|"]
    for device, rows in study["sizing"].items():
        for row in rows:
            cells = [device, str(row["replicas"]), f"{row['slo']:g} s"]
            if row["load"] == 0:
                cells += ["not at a fifth of its load", "", ""]
            else:
                cells += [f"{row['images_per_second'] / row['replicas']:.3g}", f"{row['load']:.0%}", f"{row['hours_per_million']:.3g}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    parser.add_argument("--jobs", type=int, default=2)
    parts = {part.__name__: part for part in (load, budget, slots, balancers, scaler, sizing)}
    parser.add_argument("--parts", default=",".join(parts))
    parser.add_argument("--plots-only", action="store_true")
    parser.add_argument("--no-plots", action="store_true")
    arguments = parser.parse_args()
    file = HERE / "study.json"
    study = json.loads(file.read_text()) if file.exists() else {"saturated": SATURATED}
    if not arguments.plots_only:
        simulator = Simulator(arguments.build_dir, arguments.jobs)
        for name in arguments.parts.split(","):
            parts[name](simulator, study)
            file.write_text(json.dumps(rounded(study), separators=(",", ":")) + "\n")
            print(f"{name}: done", flush=True)
    if "sizing" in study:
        print(table(study))
    if arguments.no_plots:
        return
    import study_page  # matplotlib is needed from here on only.

    study_page.draw(study, json.loads((HERE / "compare.json").read_text()), HERE / "study.png")


if __name__ == "__main__":
    main()
