"""Who is served beside an attack: one image after the other, with the same bytes as ever, in bounded memory. How long the
images take beside it is printed, and bounded by nothing: see crowd_bench.py for that."""
import random
import statistics
import struct
import threading
import time

import pytest

import soak_members
from http2 import DATA, PING, WINDOW_UPDATE, Http2Connection, frame
from memory import bounded_memory
from requests_under_test import images_of, one_pass, request
from soak_members import Crowd

IMAGES = 3
PRIORITY, UNKNOWN = 2, 77  # Kinds of frames.
FRAMES = 20_000
STREAMS_OF_A_CONNECTION = 100  # --max-concurrent-streams


def images(server, count):
    """Their bytes, and how many milliseconds each took."""
    made, took = [], []
    for _ in range(count):
        start = time.monotonic()
        made.append(images_of(server.stub().Generate(request(seed=77, sampling=one_pass()), timeout=120))[0].picture.data)
        took.append((time.monotonic() - start) * 1000)
    return made, took


@pytest.mark.parametrize("attack", [soak_members.vanishing, soak_members.stalled, soak_members.half_sent,
                                    soak_members.half_an_upload, soak_members.bombs, soak_members.floods],
                         ids=lambda attack: attack.__name__)
def test_others_are_served_beside(victim, attack, scale):
    server = victim("--send-seconds=2", "--receive-seconds=2")
    crowd, over = Crowd(server, 1, None), threading.Event()
    (before, *_), alone = images(server, IMAGES)

    def attacks():
        rng = random.Random(1)
        while not over.is_set():
            crowd.turn(attack, rng)

    with bounded_memory(server, left=1.3):
        attackers = [threading.Thread(target=attacks) for _ in range(2)]
        for attacker in attackers:
            attacker.start()
        made, beside = images(server, IMAGES * scale)
        over.set()
        for attacker in attackers:
            attacker.join()
    assert crowd.failures == [] and crowd.turns[attack.__name__] >= 2
    assert set(made) == {before}
    print(f"{attack.__name__}: {statistics.median(alone):.0f} ms alone, {statistics.median(beside):.0f} ms beside it")


FRAMES_THAT_MEAN_NOTHING = {
    "data without a byte": lambda stream: frame(DATA, 0, stream),
    "padding alone": lambda stream: frame(DATA, 8, stream, b"\x01\x00"),
    "priorities": lambda stream: frame(PRIORITY, 0, stream, struct.pack(">IB", 0, 1)),
    "kinds that nobody knows": lambda stream: frame(UNKNOWN, 0, stream, b"?" * 8),
    "windows of a byte more": lambda stream: frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1)),
}


@pytest.mark.parametrize("kind", FRAMES_THAT_MEAN_NOTHING)
def test_frames_that_mean_nothing(victim, kind, scale):
    server = victim("--receive-seconds=5")
    with Http2Connection(server.port) as connection, bounded_memory(server):
        stream = connection.request("Generate")
        piece = FRAMES_THAT_MEAN_NOTHING[kind](stream) * 1000
        try:
            for _ in range(FRAMES * scale // 1000):
                connection.send(piece)
            connection.send(frame(PING, 0, 0, b"settled?"))
        except OSError:
            pass  # Enough, says the server.
        assert images(server, 1)


def test_a_stream_that_is_given_no_bytes_of_window_by_mistake_ends_alone(victim):
    """WINDOW_UPDATE of 0 makes the server reset the stream itself, which costs the client nothing."""
    server = victim()
    with Http2Connection(server.port) as connection, bounded_memory(server):
        try:
            for _ in range(1000):
                connection.send(frame(WINDOW_UPDATE, 0, connection.request("Generate"), bytes(4)))
            connection.settled()
        except OSError:
            pass
        assert images(server, 1)
    server.wait_for_metric(lambda running: running == 0, "hmar_running_images")


def test_streams_past_the_limit_are_refused(victim, scale):
    """Ten times as many calls as a connection may have open, none of which says anything."""
    server = victim("--receive-seconds=2")
    with Http2Connection(server.port) as connection, bounded_memory(server):
        try:
            for _ in range(10 * STREAMS_OF_A_CONNECTION * scale):
                connection.request("Generate")
            connection.settled()
        except OSError:
            pass
        assert images(server, 1)
    late = server.wait_for_metric(lambda late: late > 0, "hmar_requests_total", code="DEADLINE_EXCEEDED")
    assert late <= STREAMS_OF_A_CONNECTION
