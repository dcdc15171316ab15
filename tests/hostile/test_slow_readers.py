"""Clients that ask for images and do not read them: what they hold of the server, and for how long."""
import json
import signal
import struct

from hmar.v1 import image_generation_pb2 as pb

from http2 import HEADERS, PREFACE, RST_STREAM, SETTINGS, Http2Connection, frame, message
from requests_under_test import request

INITIAL_WINDOW_SIZE = 4  # A setting of HTTP/2: what the server may send of a stream before it is given more.


class StalledReader(Http2Connection):
    """Gives the server a window of one byte a stream, and never another."""

    def __init__(self, port):
        super().__init__(port, preface=False)
        self.send(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 1)))

    def ask(self, method, body):
        stream = self.request(method)
        self.data(stream, message(body.SerializeToString()), end_stream=True)
        return stream


def full_previews(images):
    return request(num_images=images, previews=pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FULL))


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
        reader.ask("Generate", full_previews(4))
        server.wait_for_metric(lambda done: done == 4, "hmar_images_total", outcome="done")
        server.process.send_signal(signal.SIGTERM)
        assert server.wait_for_exit() == 0
    assert reasons(server) == ["CLIENT_TOO_SLOW"]
