"""The page of plots of study.py."""
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from PIL import Image  # noqa: E402

NAMES = {"cpu-2": "2 cores, bundled model", "h100-d16": "H100, d16", "h200-d16": "H200, d16"}


def label(axes, title, x, y):
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)


def draw_compare(axes, comparison):
    for figure, marker, name in (("images_per_second", "o", "images/s"), ("p50_ms", "s", "p50, ms"), ("p99_ms", "^", "p99, ms")):
        pairs = [row[figure] for device in comparison.values() for row in device["rows"]]
        axes.plot([real for real, _ in pairs], [simulated for _, simulated in pairs], marker, label=name, alpha=0.8)
    limits = axes.get_xlim()
    ends = [max(1.0, limits[0]), limits[1]]
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.fill_between(ends, [0.9 * end for end in ends], [1.1 * end for end in ends], color="grey", alpha=0.2, label="within 10 %")
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, "One server: real and simulated", "hmar-load against hmar-server", "hmar-sim")
    axes.legend(fontsize=8)


def draw_load(axes, study):
    for device, points in study["load"].items():
        for quantile, style in (("p50", "--"), ("p99", "-")):
            axes.plot([100 * point["load"] for point in points], [point[quantile] for point in points], style, marker=".",
                      color=f"C{list(NAMES).index(device)}", label=f"{NAMES[device]}, {quantile}")
    axes.set_yscale("log")
    label(axes, "One replica, Poisson calls of one image", "load, % of what it can make", "latency, ms")
    axes.legend(fontsize=7, handlelength=4)


def draw_option(axes, study, part, name, title):
    values, curves = study[part]["values"], study[part]["curves"]
    for load, points in curves.items():
        if load == "full":
            continue
        axes.plot(values, [point["p99"] if point["refused"] == 0 else float("nan") for point in points], marker=".",
                  label=f"p99 at {float(load):.0%} of its load, ms")
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_yscale("log")
    label(axes, title, name, "latency, ms")
    most = axes.twinx()
    most.plot(values, [point["images_per_second"] for point in curves["full"]], color="black", linestyle=":", marker="x")
    most.set_ylabel("images/s at most (dotted)", fontsize=8)
    most.set_ylim(0, 1.3 * max(point["images_per_second"] for point in curves["full"]))
    most.tick_params(labelsize=8)
    axes.legend(fontsize=7, loc="upper right")


def draw_balancers(axes, study, replicas):
    for balancer, points in study["balancers"].items():
        axes.plot(replicas, [point["p99"] for point in points], marker=".", label=balancer)
    axes.set_xscale("log", base=2)
    axes.set_xticks(replicas, [str(count) for count in replicas])
    axes.set_ylim(bottom=0)
    label(axes, "Balancers: 2-core replicas at 70 %, one call in ten of 8 images", "replicas", "p99, ms")
    axes.legend(fontsize=8)


def draw_hour(axes, study):
    count = axes.twinx()
    drawn = [(name, way) for name, way in study["scaler"].items() if "moments" in way]
    for color, (name, way) in zip(("C3", "C0", "C2"), drawn, strict=True):
        moments = way["moments"]
        minutes = [seconds / 60 for seconds in moments["seconds"]]
        target = way["values"][-1]
        count.step(minutes, moments["ready"], color=color, where="pre",
                   label=f"{name}, target {target:g}")
        axes.plot(minutes, moments["calls_per_second"], linewidth=0.8, color="grey")
    axes.set_ylim(bottom=0)
    label(axes, "An hour with bursts, autoscaled", "minutes", "calls/s (grey)")
    count.set_ylabel("replicas ready", fontsize=8)
    count.set_ylim(bottom=0)
    count.tick_params(labelsize=8)
    count.legend(fontsize=7, loc="upper right")


def draw_targets(axes, study):
    for index, (name, way) in enumerate(study["scaler"].items()):
        costs = [point["hours_per_million"] for point in way["points"]]
        within = [100 * point["within_slo"] for point in way["points"]]
        axes.plot(costs, within, marker="s" if name == "fixed" else "o", label=name, color=f"C{index}")
        for cost, part, value in zip(costs, within, way["values"], strict=True):
            axes.annotate(f"{value:g}", (cost, part), fontsize=7, xytext=(4, 3), textcoords="offset points")
    label(axes, "The same hour by the autoscaler's target", "device hours a million images", "% of calls within 2 s")
    axes.legend(fontsize=7)


def draw_cost(axes, study):
    for device, points in study["load"].items():
        axes.plot([point["p99"] for point in points], [point["hours_per_million"] for point in points], marker=".",
                  color=f"C{list(NAMES).index(device)}", label=NAMES[device])
    axes.set_xscale("log")
    axes.set_yscale("log")
    label(axes, "What latency costs: one replica, load 20 to 95 %", "p99, ms", "device hours a million images")
    axes.legend(fontsize=8)


def draw(study, comparison, path):
    figure, axes = plt.subplots(4, 2, figsize=(13, 18), constrained_layout=True)
    draw_compare(axes[0][0], comparison)
    draw_load(axes[0][1], study)
    draw_option(axes[1][0], study, "budget", "--max-step-rows", "Token budget, H200, d16")
    draw_option(axes[1][1], study, "slots", "--max-images-in-flight", "Images in flight, H200, d16")
    draw_balancers(axes[2][0], study, [1, 2, 4, 8, 16])
    draw_cost(axes[2][1], study)
    draw_hour(axes[3][0], study)
    draw_targets(axes[3][1], study)
    figure.savefig(path, dpi=80)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)  # A third of the bytes; lines look the same.
