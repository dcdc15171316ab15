"""Clients that ask for images and do not read them: what they hold of the server, and for how long."""
import json
import signal
import struct

from hmar.v1 import image_generation_pb2 as pb

from http2 import HEADERS, PREFACE, RST_STREAM, SETTINGS, Http2Connection, frame, message
from memory import bounded_memory
from requests_under_test import error_of, images_of, one_pass, request

INITIAL_WINDOW_SIZE = 4  # A setting of HTTP/2: what the server may send of a stream before it is given more.


class StalledReader(Http2Connection):
    """Gives the server a window of one byte a stream, and never another."""

    def __init__(self, port):
        super().__init__(port, preface=False)
        self.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1)))

    def ask(self, method, body, *headers):
        stream = self.request(method, *headers)
        self.data(stream, message(body.SerializeToString()), end_stream=True)
        return stream


def full_previews(images, **fields):
    return request(num_images=images, previews=pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FULL), **fields)


def reasons(server):
    """Of the calls that failed, in the order of their ends."""
    lines = [json.loads(line) for line in server.output.splitlines() if line.startswith("{")]
    return [line["reason"] for line in lines if "reason" in line]


def test_a_reader_that_stalls_is_let_go_of(victim):
    server = victim("--send-seconds=1")
    calls = [("Generate", full_previews(4)), ("GenerateImages", pb.GenerateImagesRequest(request=request(num_images=4)))]
    for count, (method, body) in enumerate(calls, start=1):
        with StalledReader(server.port) as reader:
            stream = reader.ask(method, body)
            kind, *_ = reader.wait_for_end(stream)
            assert kind in (HEADERS, RST_STREAM)  # gRPC's own CANCELLED: a status of ours would wait behind the images.
        server.wait_for_metric(lambda ended: ended == count, "hmar_requests_total", code="RESOURCE_EXHAUSTED")
    server.wait_for_line('"method":"GenerateImages"')
    assert reasons(server) == ["CLIENT_TOO_SLOW", "CLIENT_TOO_SLOW"]


def test_a_reader_that_stalls_does_not_hold_up_the_drain(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--send-seconds=8", "--drain-seconds=120")
    server.wait_until_ready()
    with StalledReader(server.port) as reader:
        reader.ask("Generate", full_previews(1, sampling=one_pass()))  # Quick: it is done before the reader is stopped.
        server.wait_for_metric(lambda done: done == 1, "hmar_images_total", outcome="done")
        server.process.send_signal(signal.SIGTERM)
        assert server.wait_for_exit() == 0
    assert reasons(server) == ["CLIENT_TOO_SLOW"]


PICTURE_PX = 256
BUDGET_MB = 32
READERS, IMAGES, SCALES = 40, 32, 3  # With 3 previews each: 1 GB of pictures, a quarter of it images.


def from_client(address):
    """A call's header, where the server trusts a proxy."""
    return ("x-forwarded-for", address)


def test_many_that_read_nothing_share_one_budget_and_others_are_served(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_IMAGE_SIZE", str(PICTURE_PX))
    server = start_on_gpus(f"--delivery-buffer-bytes={BUDGET_MB << 20}", "--trust-forwarded-for", "--send-seconds=20",
                           device=["--device=cuda:0", "--max-images-in-flight=16"])
    server.wait_until_ready()
    previews = pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FULL, scales=range(SCALES))
    raw = pb.OutputOptions(format=pb.OutputOptions.FORMAT_RGB8)

    def ask_for(images, **fields):
        return pb.GenerateRequest(class_id=1, num_images=images, output=raw, previews=previews, **fields)

    def served():
        call = server.stub().Generate(ask_for(8), metadata=[from_client("10.0.0.2")], timeout=60)
        return len(images_of(call)) == 8

    assert served()  # What it takes once is taken.
    with bounded_memory(server, peak_mb=2 * BUDGET_MB, left=1.5):
        readers = [StalledReader(server.port) for _ in range(4)]
        for number in range(READERS):
            readers[number % 4].ask("Generate", ask_for(IMAGES, seed=number), from_client("10.0.0.1"))
        server.wait_for_metric(lambda images: images > 0, "hmar_queue_images")
        assert served()
        server.wait_until_idle()
        assert served()
        error = error_of(lambda: server.stub().Generate(ask_for(1), metadata=[from_client("10.0.0.1")]))
        assert error.info.reason == "DELIVERY_BACKLOG"
        assert error.retry_info is not None
        dropped = server.metric("hmar_previews_total", mode="full", outcome="dropped")
        ended = server.metric("hmar_requests_total", code="RESOURCE_EXHAUSTED")
        for reader in readers:
            reader.close()
        server.wait_for_line('"client"', times=READERS + 4)
    print(f"{dropped:.0f} previews dropped, {ended:.0f} calls ended")
    assert dropped > READERS  # Before a picture,
    assert 1 < ended < READERS  # of which some calls' are kept.
