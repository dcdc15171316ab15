"""Who is at the server in a soak, hmar-load aside. Each member does one bounded thing, again and again while a round
lasts; the attacks are those of the tests beside this. What a member learns of the end of a call of its own goes into
`ends`, by the call's id, so that the access log can be held against it."""
import contextlib
import random
import signal
import socket
import struct
import threading
import time
import zlib

import grpc
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc

from http2 import DATA, HEADERS, RST_STREAM, Http2Connection, WindowedConnection, frame, message
from requests_under_test import FAST, FULL, images_of, one_pass, request
from test_half_sent import METHODS, send_halves
from test_pings import flood_of_pings
from test_slow_readers import StalledReader, full_previews
from test_uploads import black_png, edit, idat_bomb

BOMB_MB = 64
POLITE = {"seed": 77, "sampling": one_pass()}


class Crowd:
    """Runs members on threads of their own until the round is over, and keeps what they found."""

    def __init__(self, server, seed, config):
        self.server, self.config = server, config
        self.random = random.Random(seed)
        self.ends = {}       # By request id: code's name and ErrorInfo's reason, or None: not the server's word.
        self.nameless = 0    # Calls that may leave a line without an id of ours.
        self.polite_ms = []  # Of the polite client's images.
        self.turns = {}      # How often each member did its thing.
        self.failures = []
        self.expected = None  # The polite client's picture.
        self.zeros = deflated(BOMB_MB << 20)
        self.idat_bomb = idat_bomb()
        self._lock = threading.Lock()
        self._number = 0

    def name(self, kind):
        with self._lock:
            self._number += 1
            return f"{kind}-{self._number}"

    def count_nameless(self, calls):
        with self._lock:
            self.nameless += calls

    @contextlib.contextmanager
    def stub(self):
        """A stub with a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 28)]
        with grpc.insecure_channel(self.server.address, options=options) as channel:
            yield image_generation_pb2_grpc.ImageGenerationServiceStub(channel)

    def run(self, seconds):
        """One round: returns once every member has gone."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._repeat, args=(member, self.random.getrandbits(64), end))
                   for member in MEMBERS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, member, seed, end):
        rng = random.Random(seed)
        while time.monotonic() < end:
            self.turn(member, rng)
            time.sleep(rng.random())  # So that all of them get their turns on few cores.

    def turn(self, member, rng):
        """The member does its thing, once."""
        try:
            member(self, rng)
        except OSError:
            pass  # The server has had enough of an attacker: a good answer.
        except Exception as error:  # Kept for the end, whatever it is.
            self.failures.append(f"{member.__name__}: {error!r}")
        with self._lock:
            self.turns[member.__name__] = self.turns.get(member.__name__, 0) + 1


def deflated(zeros):
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    return deflate.compress(bytes(zeros)) + deflate.flush()


def reason_of(error):
    """ErrorInfo's reason, where the server has said one."""
    from google.rpc import error_details_pb2, status_pb2

    packed = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if packed is None:
        return None
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(packed).details:
        if detail.Unpack(info):
            return info.reason
    return None


FORMATS = [pb.OutputOptions.FORMAT_PNG, pb.OutputOptions.FORMAT_RGB8, pb.OutputOptions.FORMAT_JPEG, pb.OutputOptions.FORMAT_WEBP]


def random_request(rng):
    """Any valid request, and one in twenty that is not."""
    presets = [pb.MaskSchedule.PRESET_UNSPECIFIED, pb.MaskSchedule.PRESET_NONE, pb.MaskSchedule.PRESET_NONE]
    drawn = pb.GenerateRequest(
        seed=rng.getrandbits(64), num_images=rng.choice([1, 1, 1, 2, 4]), validate_only=rng.random() < 0.1,
        sampling=pb.SamplingParams(
            cfg_scale=rng.uniform(0, 4), top_k=rng.choice([0, 1, 50, 600]), top_p=rng.uniform(0.5, 1),
            temperature=rng.uniform(0.5, 1.5), mask_schedule=pb.MaskSchedule(preset=rng.choice(presets))),
        previews=pb.PreviewOptions(mode=rng.choice([0, FAST, FULL])),
        scheduling=pb.Scheduling(priority=rng.randint(-10, 10)),
        output=pb.OutputOptions(format=rng.choice(FORMATS),
                                return_tokens=rng.random() < 0.5))
    if rng.random() < 0.9:
        drawn.class_id = rng.randrange(10)
    if rng.random() < 0.05:
        drawn.num_images = 100_000
    return drawn


def anybody(crowd, rng):
    """A client with random parameters, one in five of which leaves after a few events."""
    drawn = random_request(rng)
    drawn.request_id = crowd.name("anybody")
    leave_after = rng.randrange(8) if rng.random() < 0.2 else None
    timeout = rng.uniform(0.2, 2) if rng.random() < 0.2 else 120
    address = ("x-forwarded-for", f"10.1.0.{rng.randrange(4)}")
    with crowd.stub() as stub:
        call = stub.Generate(drawn, timeout=timeout, metadata=[address])
        try:
            for i, _ in enumerate(call):
                if i == leave_after:
                    call.cancel()
            crowd.ends[drawn.request_id] = ("OK", None)
        except grpc.RpcError as error:
            reason = reason_of(error)
            crowd.ends[drawn.request_id] = (error.code().name, reason) if reason else None


def polite(crowd, rng):
    """One image after the other on one connection: served beside all this, and with the same bytes as ever."""
    with crowd.stub() as stub:
        for _ in range(5):
            drawn = request(request_id=crowd.name("polite"), scheduling=pb.Scheduling(priority=9), **POLITE)
            start = time.monotonic()
            try:
                picture = images_of(stub.Generate(drawn, timeout=120))[0].picture.data
            except grpc.RpcError as error:
                crowd.ends[drawn.request_id] = (error.code().name, reason_of(error))
                continue
            crowd.polite_ms.append((time.monotonic() - start) * 1000)
            crowd.ends[drawn.request_id] = ("OK", None)
            crowd.expected = crowd.expected or picture
            assert picture == crowd.expected, "other bytes than before"


def vanishing(crowd, rng):
    """Resets its connection in the midst of a stream."""
    with Http2Connection(crowd.server.port) as connection:
        body = full_previews(2)
        body.request_id = crowd.name("vanishing")
        crowd.ends[body.request_id] = None
        stream = connection.request("Generate")
        connection.data(stream, message(body.SerializeToString()), end_stream=True)
        for _ in range(rng.randint(1, 6)):
            connection.frames_until(lambda got: got[0] in (HEADERS, DATA))
        reset(connection)


def reset(connection):
    """With RST instead of FIN."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def stalled(crowd, rng):
    """Reads nothing until the server lets go of it."""
    with StalledReader(crowd.server.port) as reader:
        body = full_previews(2)
        body.request_id = crowd.name("stalled")
        crowd.ends[body.request_id] = None
        reader.wait_for_end(reader.ask("Generate", body))


def half_sent(crowd, rng):
    """Calls of which nothing, or half a message, comes: until the server ends them."""
    crowd.count_nameless(20)
    send_halves(crowd.server, rng.choice(METHODS))


def half_an_upload(crowd, rng):
    """Megabytes of an edit, and then a reset."""
    body = edit(bytes(4 << 20)).SerializeToString()
    with WindowedConnection(crowd.server.port) as connection:
        crowd.count_nameless(1)
        stream = connection.request("Generate")
        connection.send_within_windows(stream, message(body)[:rng.randrange(len(body))])
        reset(connection)


def bombs(crowd, rng):
    """A compressed message nobody asked for, and a picture that inflates without end."""
    with WindowedConnection(crowd.server.port) as connection:
        crowd.count_nameless(1)
        stream = connection.request("Generate", ("grpc-encoding", "gzip"))
        connection.send_within_windows(stream, message(crowd.zeros, compressed=True), end_stream=True)
        connection.wait_for_end(stream)
    body = edit(crowd.idat_bomb, request_id=crowd.name("bomb"))
    with crowd.stub() as stub:
        assert list(stub.Generate(body, timeout=120))[0].WhichOneof("event") == "accepted"
    crowd.ends[body.request_id] = ("OK", None)
    body = edit(black_png(2000)[:-100], request_id=crowd.name("bomb"))
    with crowd.stub() as stub, contextlib.suppress(grpc.RpcError):
        list(stub.Generate(body, timeout=120))
    crowd.ends[body.request_id] = ("INVALID_ARGUMENT", "IMAGE_INVALID")


def floods(crowd, rng):
    """Connections, streams that are reset at once, and pings."""
    for _ in range(30):
        with contextlib.closing(socket.create_connection(("127.0.0.1", crowd.server.port), timeout=60)):
            pass
    with Http2Connection(crowd.server.port) as connection, contextlib.suppress(OSError):
        for _ in range(200):
            connection.send(frame(RST_STREAM, 0, connection.request("Generate"), bytes(4)))
        connection.settled()
    flood_of_pings(crowd.server)


def operator(crowd, rng):
    """Signals, changes of the configuration, a process that stands still, and a scrape a second."""
    crowd.config.write_text(f'log-level = "{rng.choice(["info", "debug", "warn", "no-such-level"])}"\n')
    process = crowd.server.process
    process.send_signal(rng.choice([signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]))
    assert "hmar_build_info" in crowd.server.metrics_text()
    if rng.random() < 0.1:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        process.send_signal(signal.SIGCONT)
    time.sleep(1)


MEMBERS = [anybody, anybody, polite, vanishing, stalled, half_sent, half_an_upload, bombs, floods, operator]
