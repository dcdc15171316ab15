"""Who is served beside an attack: one image after the other, with the same bytes as ever, in bounded memory. How long the
images take beside it is printed, and bounded by nothing: see crowd_bench.py for that."""
import contextlib
import random
import statistics
import struct
import threading
import time

import soak_members
from http2 import ACK, DATA, RST_STREAM, SETTINGS, WINDOW_UPDATE, Http2Connection, frame
from memory import bounded_memory
from requests_under_test import images_of, one_pass, request
from soak_members import Crowd

IMAGES = 3
PRIORITY, UNKNOWN = 2, 77  # Kinds of frames.
FRAMES = 20_000


def images(server, count):
    """Their bytes, and how many milliseconds each took."""
    made, took = [], []
    for _ in range(count):
        start = time.monotonic()
        made.append(images_of(server.stub().Generate(request(seed=77, sampling=one_pass()), timeout=120))[0].picture.data)
        took.append((time.monotonic() - start) * 1000)
    return made, took


ATTACKS = [soak_members.vanishing, soak_members.stalled, soak_members.half_sent, soak_members.half_an_upload,
           soak_members.bombs, soak_members.floods]


def images_beside(attack, crowd, count):
    """As images(), while two attackers do nothing but this, and at least once each."""
    over = threading.Event()

    def attacks():
        rng = random.Random(1)
        crowd.turn(attack, rng)
        while not over.is_set():
            crowd.turn(attack, rng)

    attackers = [threading.Thread(target=attacks) for _ in range(2)]
    for attacker in attackers:
        attacker.start()
    made, took = images(crowd.server, count)
    over.set()
    for attacker in attackers:
        attacker.join()
    return made, took


def test_others_are_served_beside_each_attack(victim, scale):
    server = victim("--send-seconds=2", "--receive-seconds=2")
    crowd = Crowd(server, 1, None)
    (before, *_), alone = images(server, IMAGES)
    with bounded_memory(server, left=1.3):
        for attack in ATTACKS:
            made, beside = images_beside(attack, crowd, IMAGES * scale)
            assert set(made) == {before}, attack.__name__
            print(f"{attack.__name__}: {statistics.median(alone):.0f} ms alone, {statistics.median(beside):.0f} ms beside it")
    assert crowd.failures == []


FRAMES_THAT_MEAN_NOTHING = {
    "data without a byte": lambda stream: frame(DATA, 0, stream),
    "padding alone": lambda stream: frame(DATA, 8, stream, b"\x01\x00"),
    "priorities": lambda stream: frame(PRIORITY, 0, stream, struct.pack(">IB", 0, 1)),
    "kinds that nobody knows": lambda stream: frame(UNKNOWN, 0, stream, b"?" * 8),
    "windows of a byte more": lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)),
}


def test_frames_that_mean_nothing(victim, scale):
    server = victim("--receive-seconds=5")
    with bounded_memory(server):
        for kind, frame_for in FRAMES_THAT_MEAN_NOTHING.items():
            with Http2Connection(server.port) as connection:
                piece = frame_for(connection.request("Generate")) * 1000
                with contextlib.suppress(OSError):  # Enough, says the server.
                    for _ in range(FRAMES * scale // 1000):
                        connection.send(piece)
                    connection.settled()
                assert images(server, 1), kind


def test_a_stream_that_is_given_no_bytes_of_window_by_mistake_ends_alone(victim):
    """WINDOW_UPDATE of 0 makes the server reset the stream itself, which costs the client nothing."""
    server = victim()
    with bounded_memory(server), Http2Connection(server.port) as connection:
        with contextlib.suppress(OSError):
            for _ in range(1000):
                connection.send(frame(WINDOW_UPDATE, 0, connection.request("Generate"), bytes(4)))
            connection.settled()
        assert images(server, 1)
    server.wait_for_metric(lambda running: running == 0, "hmar_running_images")


class Forgetful(Http2Connection):
    """Never acknowledges the server's settings, so gRPC tells it no limit: it may open any number of calls."""

    def __init__(self, port):
        super().__init__(port)
        self.ended = set()

    def open(self, calls):
        """Calls of which nothing more comes. Returns once the server has seen them."""
        for _ in range(calls):
            self.request("Generate")
        self.send(frame(SETTINGS, 0, 0))  # No PING: too many of them end the connection.
        self.read_until(lambda got: got[0] == SETTINGS and got[1] & ACK)

    def read_until(self, wanted):
        while (got := self.read_frame()) is not None:
            if got[0] == RST_STREAM:
                self.ended.add(got[2])
            if wanted(got):
                return
        raise AssertionError("the server has closed the connection")


def test_streams_past_the_limit_are_refused(victim, scale):
    server, calls = victim("--receive-seconds=2"), 20_000 * scale
    with bounded_memory(server), Forgetful(server.port) as connection:
        for _ in range(calls // 1000):
            connection.open(1000)
        assert images(server, 1)
        connection.read_until(lambda _: len(connection.ended) == calls)
    late = server.metric("hmar_requests_total", code="DEADLINE_EXCEEDED")
    assert 0 < late <= calls / 10  # The others were refused at once: 200 may be on their way at a time.
