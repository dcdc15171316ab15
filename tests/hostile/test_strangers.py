"""Strangers at a server that asks for keys: they cost it nothing but a look at their headers."""
import contextlib
import threading

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from http2 import DATA, GOAWAY, HEADERS, RST_STREAM, Http2Connection, frame, message
from keys_file import Keys
from memory import bounded_memory
from requests_under_test import images_of, one_pass, request

METHODS = ["Generate", "GenerateImages", "ListModels", "GetModel"]
GUESSERS = 4
GUESSES = 500


@pytest.fixture
def guarded(start_server, model_folder, hmar, tmp_path):
    """guarded(*flags): a ready server on one thread that knows one key, and that key's metadata."""

    def start(*flags):
        keys = Keys(hmar, tmp_path / "keys.toml").add("alice").write()
        server = start_server(f"--model=m={model_folder}", "--threads=1", f"--keys={keys.file}", *flags)
        server.wait_until_ready()
        return server, keys.of("alice")

    return start


def image(server, metadata):
    answer = server.stub().Generate(request(seed=77, sampling=one_pass()), metadata=metadata, timeout=120)
    return images_of(answer)[0].picture.data


def test_strangers_are_refused_by_their_headers_and_nothing_of_their_requests_is_awaited(guarded):
    server, metadata = guarded("--receive-seconds=600")
    with Http2Connection(server.port) as connection:
        for method in METHODS:
            stream = connection.request(method, ("authorization", "Bearer guess"))
            connection.data(stream, message(bytes(1000))[:500])
            end = connection.frames_until(lambda got, stream=stream: got[2] == stream and got[0] in (HEADERS, RST_STREAM))
            assert end is not None and b"none of this server's" in end[3], method
    assert image(server, metadata)
    assert server.metric("hmar_open_calls") == 0


def test_who_guesses_keys_holds_nobody_up_and_holds_nothing(guarded, scale):
    server, metadata = guarded()
    before = image(server, metadata)
    over, refused = threading.Event(), []

    def guess(number):
        upload = pb.GenerateImagesRequest(request=request(edit=pb.EditOptions(image=bytes(1 << 20))))
        while not over.is_set():
            with grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
                call = channel.unary_unary("/hmar.v1.ImageGenerationService/GenerateImages",
                                           request_serializer=pb.GenerateImagesRequest.SerializeToString)
                calls = [call.future(upload, metadata=(("authorization", f"Bearer {number}-{i}"),), timeout=120)
                         for i in range(20)]
                refused.extend(each.code() for each in calls)

    with bounded_memory(server, left=1.3):
        guessers = [threading.Thread(target=guess, args=(number,)) for number in range(GUESSERS)]
        for guesser in guessers:
            guesser.start()
        assert {image(server, metadata) for _ in range(3 * scale)} == {before}
        over.set()
        for guesser in guessers:
            guesser.join()
    assert set(refused) == {grpc.StatusCode.UNAUTHENTICATED}


def test_calls_without_a_key_in_a_row_on_one_connection(guarded, scale):
    server, metadata = guarded()
    before = image(server, metadata)
    with bounded_memory(server, left=1.3), Http2Connection(server.port) as connection:
        for _ in range(GUESSES // 50 * scale):
            streams = [connection.request("Generate", ("authorization", "Bearer " + "x" * 4000)) for _ in range(50)]
            connection.send(b"".join(frame(DATA, 1, stream, message(b"")) for stream in streams))
            with contextlib.suppress(OSError):
                left = set(streams)
                while left:
                    got = connection.frames_until(lambda got: got[0] in (HEADERS, RST_STREAM, GOAWAY))
                    assert got is not None and got[0] != GOAWAY
                    left.discard(got[2])
        assert image(server, metadata) == before
    assert server.metric("hmar_admission_rejected_total", reason="KEY_UNKNOWN") == GUESSES * scale
