#!/usr/bin/env python3
"""Mixed load through a proxy of deploy/ while its three replicas are restarted one after the other, over and over: how many calls
failed. hmar-load never tries a call again, so whatever is lost on the way counts. By hand, with the environment of the tests:

    "$(deploy/setup.sh --print-python)" tests/deploy/rolling.py envoy --minutes 10
"""
import argparse
import pathlib
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "deploy")]


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proxy", choices=["envoy", "haproxy"])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--build-dir", type=pathlib.Path, default=TESTS.parent / "build")
    return parser.parse_args()


def figures(report):
    """hmar-load's table, and the figures that RESULTS.md has."""
    (run,) = report["runs"]
    total, latency = run["all"], run["all"]["latency_ms"]
    return (f"{report['output']}\n{total['ok']} answered, {total['failed']} failed, {total['no_answer']} no answers, "
            f"{total['mismatched']} other bytes, {total['timed_out']} given up, {total['cancelled']} cancelled by plan; "
            f"{total['images_per_second']:.2f} images/s, p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms, "
            f"max {latency['max']:.0f} ms")


def main():
    args = options()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hmar-rolling-"))
    import stubs

    (folder / "stubs").mkdir()
    stubs.make(folder / "stubs")
    import balancing
    import fleet

    kind = {"envoy": fleet.Envoy, "haproxy": fleet.HAProxy}[args.proxy]
    restarts, start = 0, time.monotonic()
    model = stubs.REPO / "deploy" / "models" / "hmar-cifar10"
    with fleet.Fleet(kind, args.build_dir.resolve() / "server" / "hmar-server", model, folder) as running:
        with balancing.load(args.build_dir.resolve(), running.proxy, folder) as report:
            while time.monotonic() - start < 60 * args.minutes:
                replica = running.replicas[restarts % len(running.replicas)]
                replica.restart()
                running.proxy.wait_for_healthy(len(running.replicas))
                restarts += 1
                print(f"{time.monotonic() - start:6.1f} s: {restarts} restarts", flush=True)
        seconds = time.monotonic() - start
    print(f"{args.proxy}: {seconds:.0f} s, {restarts} restarts")
    print(figures(report))
    total = report["runs"][0]["all"]
    return int(any(total[lost] for lost in ("failed", "no_answer", "mismatched", "timed_out")))


if __name__ == "__main__":
    sys.exit(main())
