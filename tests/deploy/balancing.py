"""What holds behind either proxy. test_envoy.py and test_haproxy.py make it theirs."""
import concurrent.futures
import contextlib
import json
import signal
import subprocess
import sys
import threading
import urllib.request

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from fleet import REPLICAS, Fleet, until
from requests_under_test import FAST, error_of, images_of, request
from server_process import GENEROUS_SECONDS
from stubs import REPO

sys.path.append(str(REPO / "client" / "python" / "src"))  # With the stubs of tests/conftest.py.
import hmar_client  # noqa: E402

# Little enough for two cores that three servers share with a proxy: what is looked for is what gets lost.
MIX = """
[[mix]]
name = "streams"
weight = 3
previews = "fast"
[[mix]]
name = "replies"
method = "generate_images"
images = 2
format = "rgb"
[[mix]]
name = "edits"
weight = 2
method = "edit"
uploads = 4
[[mix]]
name = "leavers"
images = 4
cancel_after_ms = 60
"""
LONG = {"num_images": 8}


@contextlib.contextmanager
def load(build_dir, proxy, folder, *flags):
    """hmar-load in a closed loop while the block runs; yields what becomes its report. It never tries a call again."""
    (folder / "mix.toml").write_text(MIX)
    report = folder / "load.json"
    report.unlink(missing_ok=True)
    command = [build_dir / "client" / "hmar-load", "--server", proxy.address, "--concurrency", "4", "--duration", "3600", "--mix",
               folder / "mix.toml", "--json", report, "--distinct-seeds", "16", "--verify", "--quiet", *flags]
    found = {}
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield found
        assert process.poll() is None, process.stdout.read()
    finally:
        process.send_signal(signal.SIGINT)  # What is open is cancelled, what was seen is reported.
        output, _ = process.communicate(timeout=GENEROUS_SECONDS)
    found.update(json.loads(report.read_text()), output=output)


def accepted(stub, **fields):
    """A call that a replica has accepted."""
    call = stub.Generate(request(**fields))
    assert next(call).WhichOneof("event") == "accepted"
    return call


class Balancing:
    kind = None
    retries_refusals = False  # The proxy itself, where nothing was accepted.

    @pytest.fixture(scope="class")
    @classmethod
    def fleet(cls, hmar_server, model_folder, tmp_path_factory):
        with Fleet(cls.kind, hmar_server, model_folder, tmp_path_factory.mktemp(cls.kind.name)) as running:
            yield running

    @pytest.fixture
    def client(self, fleet):
        with hmar_client.Client(fleet.proxy.address) as connected:
            yield connected

    def test_previews_come_one_by_one(self, fleet):
        call = fleet.proxy.stub().Generate(request(previews=pb.PreviewOptions(mode=FAST), **LONG))
        kinds = [next(call).WhichOneof("event") for _ in range(2)]
        assert kinds == ["accepted", "preview"]
        assert sum(replica.images() for replica in fleet.replicas) > 0  # The first one is here, the last one not made yet.
        assert len(images_of(call)) == LONG["num_images"]

    def test_errors_keep_their_details(self, fleet):
        stub = fleet.proxy.stub()
        error = error_of(lambda: stub.Generate(request(class_name="teapot")))
        assert (error.code, error.info.reason, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_CLASS", ["class_name"])
        error = error_of(lambda: stub.GenerateImages(pb.GenerateImagesRequest(request=request(model="none"))))
        assert (error.code, error.resource_info.resource_name) == (grpc.StatusCode.NOT_FOUND, "none")

    def test_deadlines_reach_the_server(self, fleet):
        stub = fleet.proxy.stub()
        busy = [accepted(stub, seed=seed, num_images=64) for seed in range(REPLICAS)]
        hurried = request(num_images=64, scheduling=pb.Scheduling(on_deadline=pb.Scheduling.ON_DEADLINE_FAIL))
        error = error_of(lambda: stub.Generate(hurried, timeout=1))
        assert (error.code, error.info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE")
        for call in busy:
            call.cancel()
        for replica in fleet.replicas:  # And so does that nobody waits any more.
            replica.process.wait_until_idle()

    def test_nobody_says_himself_who_he_is(self, fleet):
        list(fleet.proxy.stub().Generate(request(request_id="impostor"), metadata=[("x-forwarded-for", "203.0.113.9")]))
        lines = until(lambda: [line for replica in fleet.replicas for line in replica.process.lines if "impostor" in line], "logged")
        assert "127.0.0.1" in json.loads(lines[0])["client"], lines

    def test_open_calls_are_spread_evenly(self, fleet):
        calls = [accepted(fleet.proxy.stub(), seed=seed, num_images=64) for seed in range(4 * REPLICAS)]
        shares = [replica.process.metric("hmar_open_calls") for replica in fleet.replicas]
        for call in calls:
            call.cancel()
        for replica in fleet.replicas:
            replica.process.wait_until_idle()
        assert sum(shares) == len(calls) and max(shares) - min(shares) <= 2, shares

    def test_edits_of_one_upload_go_to_one_replica(self, fleet, build_dir):
        def lookups(found):
            return sum(replica.process.metric("hmar_upload_lookups_total", outcome=found) for replica in fleet.replicas)

        hits, misses = lookups("hit"), lookups("miss")
        subprocess.run([build_dir / "client" / "hmar-load", "--server", fleet.proxy.address, "--method", "edit", "--uploads", "4",
                        "--requests", "12", "--concurrency", "1", "--quiet"], check=True, stdout=subprocess.DEVNULL, timeout=120)
        assert (lookups("miss") - misses, lookups("hit") - hits) == (4, 8)

    def test_the_http_door_is_balanced_too(self, fleet):
        body = json.dumps({"prompt": "ship", "seed": 7}).encode()
        ask = urllib.request.Request(f"http://127.0.0.1:{fleet.proxy.http_port}/v1/images/generations", body,
                                     {"content-type": "application/json"})
        before = fleet.requests()
        for _ in range(6):
            with urllib.request.urlopen(ask, timeout=60) as response:
                assert len(json.loads(response.read())["data"]) == 1
        until(lambda: fleet.requests() == before + 6, "counted")

    def test_a_refusal_before_accepted_goes_elsewhere(self, fleet, client):
        """A replica that refuses before the proxy has noticed: without --drain-delay-seconds, and with a call to finish."""
        leaver, stub = fleet.replicas[0], fleet.proxy.stub()
        leaver.restart(drain_delay=0)
        fleet.proxy.wait_for_healthy(REPLICAS)
        before, others = leaver.requests(), fleet.requests() - leaver.requests()
        for number in range(100):  # Calls that are hashed to it.
            home = [("x-hmar-upload", str(number))]
            list(stub.Generate(request(), metadata=home))
            until(lambda: fleet.requests() == before + others + number + 1, "counted")
            if leaver.requests() > before:
                break
        held = [accepted(stub, num_images=12) for _ in fleet.replicas]  # One each.
        leaver.process.process.send_signal(signal.SIGTERM)
        leaver.process.wait_for_line("finishing what")
        # This may be the end of a call that was accepted: none of the proxy's business.
        error = error_of(lambda: stub.GenerateImages(pb.GenerateImagesRequest(request=request()), metadata=home))
        assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        if self.retries_refusals:
            assert len(images_of(stub.Generate(request(), metadata=home))) == 1
        else:
            error = error_of(lambda: stub.Generate(request(), metadata=home))
            assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert [len(images_of(call)) for call in held] == [12] * REPLICAS
        assert leaver.process.wait_for_exit() == 0
        assert sum('"reason":"DRAINING"' in line for line in leaver.process.lines) == 2, leaver.process.output  # It was asked.
        leaver.start()
        leaver.process.wait_until_ready()
        fleet.proxy.wait_for_healthy(REPLICAS)

    def test_what_a_killed_replica_had_is_made_by_the_others(self, fleet, client, hmar, tmp_path):
        """Calls that it had accepted fail; the Python client and hmar go on with them elsewhere, and the bytes are the same."""
        wanted = [image.data for image in client.images("ship", seed=5, **{"n": LONG["num_images"]})]
        victim, accepted_by_all = fleet.replicas[1], threading.Barrier(2 * REPLICAS + 1)

        def draw(_):
            events = client.generate("ship", seed=5, n=LONG["num_images"])
            tries = 0
            images = {}
            for event in events:
                if isinstance(event, hmar_client.Accepted):
                    tries += 1
                    if tries == 1:
                        accepted_by_all.wait(timeout=GENEROUS_SECONDS)
                if isinstance(event, hmar_client.Image):
                    assert event.image_index not in images
                    images[event.image_index] = event.data
            return tries, [images[index] for index in sorted(images)]

        commands = [subprocess.Popen([hmar, "generate", "--server", fleet.proxy.address, "--class", "ship", "--seed", "5", "--count",
                                      str(LONG["num_images"]), "--out", tmp_path / str(number)], text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE) for number in range(REPLICAS)]
        with concurrent.futures.ThreadPoolExecutor(2 * REPLICAS) as threads:
            drawn = [threads.submit(draw, number) for number in range(2 * REPLICAS)]
            accepted_by_all.wait(timeout=GENEROUS_SECONDS)
            victim.kill()
            results = [future.result(timeout=GENEROUS_SECONDS) for future in drawn]
        assert all(data == wanted for _, data in results)
        assert any(tries > 1 for tries, _ in results)  # It had some of them.
        for number, command in enumerate(commands):
            _, said = command.communicate(timeout=GENEROUS_SECONDS)
            assert command.returncode == 0, said
            assert [(tmp_path / str(number) / f"image-{5 + i}.png").read_bytes() for i in range(LONG["num_images"])] == wanted
        fleet.proxy.wait_for_healthy(REPLICAS - 1)
        assert len(images_of(fleet.proxy.stub().Generate(request()))) == 1
        victim.start()
        victim.process.wait_until_ready()
        fleet.proxy.wait_for_healthy(REPLICAS)

    def test_nothing_is_lost_while_all_are_restarted_one_by_one(self, fleet, build_dir, tmp_path):
        with load(build_dir, fleet.proxy, tmp_path) as report:
            for replica in fleet.replicas:
                replica.restart()
                fleet.proxy.wait_for_healthy(REPLICAS)
        (run,) = report["runs"]
        total = run["all"]
        assert (total["failed"], total["no_answer"], total["mismatched"], total["timed_out"]) == (0, 0, 0, 0), report["output"]
        assert total["ok"] > 20, report["output"]
