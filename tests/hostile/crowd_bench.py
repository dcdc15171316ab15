"""How long a polite client waits for its images beside a crowd: before it, while it comes, stands and goes, after it.

    "$(deploy/setup.sh --print-python)" tests/hostile/crowd_bench.py [SCENARIO ...] [--calls 100] [--build-dir build]

For each scenario (all, unless some are named) a server of its own. Prints a table for each and exits with 1 if a bound
does not hold: the client's p99 stays under 5 times its idle value beside the crowd and under 2 times after it, and the
server's memory ends within 20 % of its start. By hand only, on a machine that does nothing else.
"""
import argparse
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
MEMBERS = pathlib.Path(__file__).with_name("crowd_members.py")
BESIDE, AFTER = 5, 2  # Bounds of p99, to that of the idle server.
LEFT = 1.2            # Bound of memory.
ALONE = ("before", "after")
LOOK_SECONDS = 0.2    # Between looks at the server, which take its time as well.
PATIENCE_SECONDS = 120
TICKS = os.sysconf("SC_CLK_TCK")

SCENARIOS = {  # What it is, the server's flags, the crowd.
    "idle": ("{connections} idle connections from 10 addresses, with room for all of them",
             ["--max-connections={room}"], ["idle", "{connections}", "10"]),
    "one-peer": ("{connections} idle connections from one address, at the default limits",
                 [], ["idle", "{connections}", "1"]),
    "half-sent": ("{requests} requests that stop before their end, over 100 connections, at the default limits",
                  [], ["half", "{requests}", "100"]),
}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--calls", type=int, default=100, help="images beside each crowd that stands, and after it")
    parser.add_argument("--waves", type=int, default=3, help="crowds, one after the other: coming and going is quick")
    parser.add_argument("--nice", type=int, default=0, help="the crowd's niceness: a real one has machines of its own")
    parser.add_argument("--server-flag", action="append", help="default: --threads=1, a core for the others")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    parser.add_argument("--model", default=str(REPO / "deploy" / "models" / "hmar-cifar10"))
    arguments = parser.parse_args()
    arguments.server_flag = arguments.server_flag or ["--threads=1"]
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return arguments


class Member:
    """A process of crowd_members.py; its lines."""

    def __init__(self, *arguments, niceness=0):
        self.process = subprocess.Popen(
            ["nice", "-n", str(niceness), sys.executable, str(MEMBERS), *map(str, arguments)],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=PATIENCE_SECONDS)
        except BrokenPipeError:
            pass  # It has ended, and said why.
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.process.stdout.close()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


class PoliteClient(Member):
    """Its images so far: when each began and ended."""

    def __init__(self, port, stubs):
        super().__init__("polite", port, stubs)
        self.calls = []
        self._news = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.calls.append(tuple(map(float, line.split())))
                self._news.notify()
        with self._news:
            self._ended = True
            self._news.notify()

    def wait_for(self, more):
        with self._news:
            wanted = len(self.calls) + more
            self._news.wait_for(lambda: len(self.calls) >= wanted or self._ended, timeout=PATIENCE_SECONDS)
            if len(self.calls) < wanted:
                raise AssertionError(f"the polite client made {len(self.calls)} images, then no more")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def all_cpu_seconds():
    """Of everything on this machine, the kernel's own included."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, interrupts, soft_interrupts = map(int, stat.readline().split()[1:8])
    return (user + nice + system + interrupts + soft_interrupts) / TICKS


class Phases:
    """Spans of time by name, with the processor time that was taken in them."""

    def __init__(self, server, crowd):
        self._processes = (server.process, crowd.process)
        self.spans = {}

    def _clocks(self):
        return [time.monotonic(), *map(cpu_seconds, self._processes), all_cpu_seconds()]

    @contextlib.contextmanager
    def span(self, name):
        before = self._clocks()
        yield
        self.spans.setdefault(name, []).append((before, self._clocks()))

    def calls_in(self, name, calls):
        """Milliseconds, sorted: without a crowd of calls that never met it, else of all that saw any of the phase."""
        def belongs(start, end, first, last):
            return first <= start and end <= last if name in ALONE else start < last and end > first

        return sorted((end - start) * 1000 for start, end in calls if any(
            belongs(start, end, before[0], after[0]) for before, after in self.spans[name]))

    def seconds(self, name):
        """Of the clock; of processor time: the server's, the crowd's, everybody's."""
        return [sum(after[i] - before[i] for before, after in self.spans[name]) for i in range(4)]


def wait_until(fine):
    """fine(), once it is; what it is by then after PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (so := fine()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)  # Neither connections nor memory tell anybody when they are gone.
    return so


def percentile(values, part):
    return values[min(int(len(values) * part), len(values) - 1)]


def print_table(phases, calls):
    """Returns the rows' names that are beyond their bound."""
    idle = percentile(phases.calls_in("before", calls), 0.99)
    beyond = []
    print("| | images | p50 ms | p99 ms | p99 to idle | bound | seconds | cores: server | crowd | all |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in phases.spans:
        found, (wall, server, crowd, everybody) = phases.calls_in(name, calls), phases.seconds(name)
        bound = {"before": None, "after": AFTER}.get(name, BESIDE)
        p50, p99 = percentile(found, 0.5), percentile(found, 0.99)
        print(f"| {name} | {len(found)} | {p50:.1f} | {p99:.1f} | {p99 / idle:.2f} | {bound or ''} | {wall:.1f} |"
              f" {server / wall:.2f} | {crowd / wall:.2f} | {everybody / wall:.2f} |")
        if bound and p99 >= bound * idle:
            beyond.append(f"p99 {name}")
    return beyond


def refusals(server):
    return {reason: int(count) for reason in ("table_full", "peer_limit", "descriptors")
            if (count := server.metric("hmar_connections_refused_total", reason=reason))}


def one_wave(server, polite, crowd, phases, calls):
    open_before = server.metric("hmar_connections")
    with phases.span("it comes"):
        came = crowd.ask("come")
    print(f"It came: {came}; {server.metric('hmar_connections') - open_before:.0f} more connections are open,"
          f" refused so far: {refusals(server) or 'none'}")
    with phases.span("it stands"):
        polite.wait_for(calls)
    with phases.span("it goes"):
        went = crowd.ask("go")
        assert wait_until(lambda: server.metric("hmar_connections") <= open_before), "connections are left"
    with phases.span("after"):
        polite.wait_for(calls)
    print(f"It went: {went}; after it {server.memory_mb('VmRSS'):.0f} MB")


def run(title, flags, crowd, arguments, folder, stubs):
    """One scenario; returns what is beyond its bound."""
    from memory import forget_peak
    from server_process import ServerProcess

    program = pathlib.Path(arguments.build_dir) / "server" / "hmar-server"
    flags = [f"--model=m={arguments.model}", *arguments.server_flag, *flags]
    print(f"\n## {title}\n\nServer: {' '.join(flags[1:])}; the crowd's niceness: {arguments.nice}")
    with ServerProcess(program, flags, folder) as server:
        server.wait_until_ready()
        with PoliteClient(server.port, stubs) as polite, \
                Member(crowd[0], server.port, *crowd[1:], niceness=arguments.nice) as members:
            phases = Phases(server, members)
            polite.wait_for(20)  # Warm. One that leaves makes the server give back what it has no more use for, as
            socket.create_connection(("127.0.0.1", server.port)).close()  # a crowd will: the start is as low as that.
            with phases.span("before"):
                polite.wait_for(arguments.calls * arguments.waves)
            memory_before = server.memory_mb("VmRSS")
            forget_peak(server)
            for _ in range(arguments.waves):
                one_wave(server, polite, members, phases, arguments.calls)
            peak = server.memory_mb("VmHWM")
            back = wait_until(lambda: server.memory_mb("VmRSS") <= LEFT * memory_before)
            memory_after, calls = server.memory_mb("VmRSS"), list(polite.calls)
        print("Requests by code:", {code: int(count) for code in ("OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED",
              "CANCELLED") if (count := server.metric("hmar_requests_total", code=code))}, end="\n\n")
        beyond = print_table(phases, calls)
    print(f"\nMemory: {memory_before:.0f} MB before, {peak:.0f} MB at the peak, {memory_after:.0f} MB after"
          f" ({memory_after / memory_before - 1:+.0%}, bound {LEFT - 1:+.0%})")
    return beyond + ([] if back else ["memory"])


def main():
    arguments = parse_arguments()
    for folder in ("e2e", "hostile"):
        sys.path.insert(0, str(REPO / "tests" / folder))
    import stubs

    beyond = []
    with tempfile.TemporaryDirectory() as name:
        stubs.make(name)
        values = {"connections": arguments.connections, "requests": arguments.requests,
                  "room": arguments.connections + 100}
        for scenario in arguments.scenarios or SCENARIOS:
            title, flags, crowd = SCENARIOS[scenario]
            (folder := pathlib.Path(name, scenario)).mkdir()
            beyond += [f"{scenario}: {what}" for what in run(
                title.format(**values), [flag.format(**values) for flag in flags],
                [word.format(**values) for word in crowd], arguments, folder, name)]
    print("\nBeyond their bounds:", ", ".join(beyond) or "none")
    return int(bool(beyond))


if __name__ == "__main__":
    sys.exit(main())
