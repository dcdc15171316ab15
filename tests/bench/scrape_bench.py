"""What a scrape every second costs a server under full load.

    "$(deploy/setup.sh --print-python)" tests/bench/scrape_bench.py [--rounds 6] [--requests 200] [--build-dir build]

Rounds with and without the scrapes take turns on one server, with the same requests; a ratio is that of two neighbours, so
that what else the machine does weighs on both. Throughput is what was asked, and noisy where others share the cores;
processor time by image is the server's own. And a scrape by itself: processor time and bytes, on the idle server.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "e2e"))
import stubs  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="of either kind")
    parser.add_argument("--requests", type=int, default=200, help="in a round, one image each")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--scrapes", type=int, default=500, help="of the idle server")
    parser.add_argument("--threads", type=int, default=0, help="of the engine, see hmar-server; 1: least disturbed by others")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    return parser.parse_args()


class Scraper:
    """One scrape a second, as Prometheus makes them, on a connection of its own each."""

    def __init__(self, server):
        self._stop = threading.Event()
        self.scrapes = 0
        self._thread = threading.Thread(target=self._run, args=(server,))

    def _run(self, server):
        while not self._stop.wait(1):
            server.metrics_text()
            self.scrapes += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join()


def cpu_seconds(server):
    """User and system time of the server so far: fields 14 and 15 of proc(5)'s stat."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(server, arguments, report):
    """Images a second and processor seconds an image of one load."""
    before = cpu_seconds(server)
    subprocess.run(
        [f"{arguments.build_dir}/client/hmar-load", "--server", server.address, "--quiet", "--seed", "1",
         "--concurrency", str(arguments.concurrency), "--requests", str(arguments.requests), "--json", report],
        check=True, stdout=subprocess.DEVNULL)
    (run,) = json.loads(report.read_text())["runs"]
    assert run["all"]["images"] == arguments.requests
    return run["sustained_images_per_second"], (cpu_seconds(server) - before) / arguments.requests


def idle_scrape(server, times):
    before = cpu_seconds(server)
    for _ in range(times):
        with urllib.request.urlopen(f"http://127.0.0.1:{server.metrics_port}/metrics") as response:
            size = len(response.read())
    return (cpu_seconds(server) - before) / times, size


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        stubs.make(folder)
        from server_process import ServerProcess

        flags = ["--no-access-log", f"--threads={arguments.threads}"]
        with ServerProcess(f"{arguments.build_dir}/server/hmar-server", flags, folder) as server:
            server.wait_for_line("ready")
            load(server, arguments, folder / "report.json")  # Warm-up.
            rounds = {False: [], True: []}
            for number in range(2 * arguments.rounds):
                scraped = number % 4 in (1, 2)  # Without, with, with, without: a drift weighs on both.
                if scraped:
                    with Scraper(server) as scraper:
                        rounds[True].append(load(server, arguments, folder / "report.json"))
                    print(f"with {scraper.scrapes} scrapes: %.2f images/s, %.4f s an image" % rounds[True][-1], flush=True)
                else:
                    rounds[False].append(load(server, arguments, folder / "report.json"))
                    print("without: %.2f images/s, %.4f s an image" % rounds[False][-1], flush=True)
            speeds = [a[0] / b[0] for a, b in zip(rounds[True], rounds[False])]
            costs = [a[1] / b[1] for a, b in zip(rounds[True], rounds[False])]
            print(f"images/s, with / without: median {statistics.median(speeds):.4f}, {min(speeds):.4f} .. {max(speeds):.4f}")
            print(f"processor time by image:  median {statistics.median(costs):.4f}, {min(costs):.4f} .. {max(costs):.4f}")
            seconds, size = idle_scrape(server, arguments.scrapes)
            print(f"a scrape: {1000 * seconds:.3f} ms of processor time, {size} bytes")


if __name__ == "__main__":
    main()
