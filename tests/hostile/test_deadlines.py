"""Deadlines that no decent client sends: grpc-timeout in every shape."""
import struct

import pytest
from hmar.v1 import image_generation_pb2 as pb

from http2 import DATA, END_STREAM, HEADERS, RST_STREAM, Http2Connection, message
from requests_under_test import one_pass, request

FAIL = pb.Scheduling(on_deadline=pb.Scheduling.ON_DEADLINE_FAIL)


def ask(server, timeout, **fields):
    """The events of a Generate call with this grpc-timeout, once it has ended."""
    with Http2Connection(server.port) as connection:
        stream = connection.request("Generate", ("grpc-timeout", timeout))
        body = request(sampling=one_pass(), **fields).SerializeToString()
        connection.data(stream, message(body), end_stream=True)
        data = b""
        while True:
            kind, flags, _, payload = connection.frames_until(
                lambda got: got[2] == stream and got[0] in (HEADERS, DATA, RST_STREAM))
            if kind == DATA:
                data += payload
            if kind == RST_STREAM or flags & END_STREAM:
                return list(events(data))


def events(data):
    while data:
        length = struct.unpack(">I", data[1:5])[0]
        yield pb.GenerateResponse.FromString(data[5:5 + length]).WhichOneof("event")
        data = data[5 + length:]


@pytest.mark.parametrize("timeout", ["0n", "0S", "1n", "00000000H"])
def test_a_deadline_that_has_passed_makes_nothing(server, timeout):
    done = server.metric("hmar_images_total", outcome="done")
    seen = ask(server, timeout)
    assert "image" not in seen and "completed" not in seen
    server.wait_until_idle()
    assert server.metric("hmar_images_total", outcome="done") == done


@pytest.mark.parametrize("fields", [{}, {"scheduling": FAIL}], ids=["", "fail"])
@pytest.mark.parametrize("timeout", ["99999999H", "9999999H", "2600000H", "99999999M", "99999999S"])
def test_a_deadline_in_thousands_of_years_is_kept(server, timeout, fields):
    seen = ask(server, timeout, **fields)
    assert seen == ["accepted", "image", "completed"]


@pytest.mark.parametrize("timeout", [
    "-1S", "", "S", "5", "5x", "1e3S", "123456789S", "900 S", " 900S", "+5S", "\u0663S", "0x5S", "9" * 4000])
def test_what_is_no_timeout_harms_nobody(server, timeout):
    """gRPC 1.51 keeps the header to itself: what it cannot read is a call without a deadline, or no call."""
    seen = ask(server, timeout)
    assert seen in (["accepted", "image", "completed"], [])
    server.wait_until_idle()
