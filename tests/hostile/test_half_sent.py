"""Requests that never arrive in full, and headers that never end."""
import os
import struct
import threading
import time

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from http2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PATIENCE_SECONDS, PING, RST_STREAM,
                   SETTINGS, Http2Connection, WindowedConnection, frame, literal, message)
from memory import bounded_memory
from requests_under_test import error_of, images_of, request

FULL_MB = 40  # --max-message-bytes
METHODS = ["Generate", "GenerateImages", "ListModels", "GetModel"]
DISCOVERY = ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
             "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
             "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]


def send_halves(server, method):
    """Twenty requests that do not come; returns once each has ended."""
    with Http2Connection(server.port) as connection:
        streams = [connection.request(method) for _ in range(20)]
        for stream in streams[:10]:
            connection.data(stream, message(bytes(1000))[:500])  # The others stop behind their headers.
        ended = set()
        while len(ended) < len(streams):
            end = connection.frames_until(lambda got: got[0] in (HEADERS, RST_STREAM) and got[2] in streams)
            assert end is not None
            ended.add(end[2])


@pytest.mark.parametrize("method", DISCOVERY)
def test_health_and_reflection_do_not_wait_either(victim, method):
    send_halves(victim("--receive-seconds=1"), method)


@pytest.mark.parametrize("method", METHODS)
def test_a_request_that_stops_halfway_ends_in_time(victim, method):
    server = victim("--receive-seconds=1")
    before = server.metric("hmar_requests_total", code="DEADLINE_EXCEEDED")
    send_halves(server, method)
    server.wait_for_metric(lambda count: count == before + 20, "hmar_requests_total", code="DEADLINE_EXCEEDED")
    lines = [line for line in server.output.splitlines() if f'"method":"{method}"' in line.replace(": ", ":")]
    assert sum("DEADLINE_EXCEEDED" in line for line in lines) == 20


def images_if_taken(server):
    try:
        return images_of(server.stub().Generate(request(), timeout=60))
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        return None


def test_calls_beyond_their_bound_are_refused_by_their_headers(victim):
    server = victim("--max-open-calls=10", "--max-open-calls-per-client=8")
    with Http2Connection(server.port) as connection:
        streams = [connection.request() for _ in range(8)]  # None sends more than its headers.
        server.wait_for_metric(lambda calls: calls == 8, "hmar_open_calls")
        for method, reply in (("Generate", server.stub().Generate), ("GenerateImages", server.stub().GenerateImages)):
            one = pb.GenerateRequest(class_id=1)
            error = error_of(lambda: reply(one if method == "Generate" else pb.GenerateImagesRequest(request=one)))
            assert error.info.reason == "TOO_MANY_CALLS"
            assert error.message == "8 calls of this client are open; at most 8"
            assert error.retry_info is not None
        late = connection.request()  # Whose request nobody waits for.
        end = connection.wait_for_end(late)
        assert end is not None and end[0] == HEADERS
        connection.send(frame(RST_STREAM, 0, streams[0], bytes([0, 0, 0, 8])))  # CANCEL: a place is free.
        refused = server.metric("hmar_admission_rejected_total", reason="TOO_MANY_CALLS")
        assert refused == 3
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not images_if_taken(server):
            assert time.monotonic() < deadline
            refused += 1
    assert server.metric("hmar_admission_rejected_total", reason="TOO_MANY_CALLS") == refused


def test_answers_that_nobody_reads_hold_their_places(victim):
    server = victim("--max-open-calls=10", "--max-open-calls-per-client=8")

    def list_models(stream):
        connection.send(frame(DATA, END_STREAM, stream, message(b"")))

    def answered():
        try:
            return server.stub().ListModels(pb.ListModelsRequest(), timeout=60)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            return None

    with Http2Connection(server.port) as connection:
        window_of_a_byte = struct.pack(">HI", 4, 1)  # SETTINGS_INITIAL_WINDOW_SIZE
        connection.send(frame(SETTINGS, 0, 0, window_of_a_byte))
        assert connection.settled()
        for _ in range(8):
            list_models(connection.request("ListModels"))
        assert connection.settled()
        server.wait_for_metric(lambda calls: calls == 8, "hmar_open_calls")
        error = error_of(lambda: server.stub().ListModels(pb.ListModelsRequest()))
        assert error.info.reason == "TOO_MANY_CALLS"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while answered() is None:  # The connection is gone, and soon the server knows it.
        assert time.monotonic() < deadline


def test_a_request_in_pieces_arrives_if_it_is_in_time(victim):
    server = victim("--max-ping-strikes=0")  # Each piece is waited for with a PING.
    request = pb.GetModelRequest().SerializeToString()
    with Http2Connection(server.port) as connection:
        stream = connection.request("GetModel")
        for byte in message(request)[:-1]:
            connection.data(stream, bytes([byte]))
            assert connection.settled()
        connection.data(stream, message(request)[-1:], end_stream=True)
        end = connection.wait_for_end(stream)
        assert end is not None and end[0] == HEADERS


@pytest.mark.parametrize("method", METHODS)
def test_a_call_without_a_request_ends(server, method):
    with Http2Connection(server.port) as connection:
        stream = connection.request(method)
        connection.data(stream, b"", end_stream=True)
        assert connection.wait_for_end(stream)[0] == HEADERS


def test_clients_that_leave_halfway_leave_nothing(victim, scale):
    server = victim()
    with bounded_memory(server):
        for i in range(50 * scale):
            with Http2Connection(server.port) as connection:
                for method in METHODS:
                    connection.data(connection.request(method), message(bytes(60000))[:30000])
                if i % 2:
                    assert connection.settled()
    server.wait_for_metric(lambda open_now: open_now <= 1, "hmar_connections")
    assert server.metric("hmar_running_images") == 0


def send_all_but_one_byte(server, done):
    """One stream of a connection of its own: a message of 40 MiB but for its last byte."""
    with WindowedConnection(server.port) as connection:
        stream = connection.request("Generate")
        connection.send_within_windows(stream, message(bytes(FULL_MB << 20))[:-1])
        done.wait()


def test_messages_one_byte_short_are_bounded_together(victim, scale):
    server = victim("--transport-memory-bytes=134217728", "--receive-seconds=3")
    done = threading.Event()
    threads = [threading.Thread(target=send_all_but_one_byte, args=(server, done)) for _ in range(8 * scale)]
    with bounded_memory(server):
        for thread in threads:
            thread.start()
        server.wait_for_metric(lambda ended: ended >= 1, "hmar_requests_total", code="DEADLINE_EXCEEDED")
        done.set()
        for thread in threads:
            thread.join()


def flood(connection, piece, megabytes):
    """Sends the piece again and again; returns what was sent when the server had enough, None if it never had."""
    try:
        for sent in range(0, megabytes << 20, len(piece)):
            connection.send(piece)
    except OSError:
        return sent
    return None


CONTINUATIONS = {
    "small headers": frame(CONTINUATION, 0, 1, literal("x", "y" * 100) * 100) * 8,
    "one value without end": frame(CONTINUATION, 0, 1, bytes(16384)) * 8,
}


@pytest.mark.parametrize("kind", CONTINUATIONS)
def test_headers_without_end(victim, kind, scale):
    """What there is a bound for. gRPC 1.51 has none: see README.md beside this."""
    server = victim()
    with Http2Connection(server.port) as connection, bounded_memory(server):
        start = b"\x00" + b"\x01x" + b"\x7f\xff\xff\xff\xff\x07" if kind == "one value without end" else b""
        connection.send(frame(HEADERS, 0, 1, start))
        flood(connection, CONTINUATIONS[kind], 4 * scale)


def test_a_value_of_many_references(victim):
    server = victim()
    block = b"\x40" + b"\x01x" + b"\x7f\x81\x1f" + bytes(4096) + b"\xbe" * 12000  # Kept, then named again and again.
    with Http2Connection(server.port) as connection, bounded_memory(server):
        try:
            for stream in range(1, 41, 2):
                connection.send(frame(HEADERS, END_HEADERS, stream, block))
            connection.send(frame(PING, 0, 0, b"12345678"))
        except OSError:
            pass  # Enough, says the server.
        connection.frames_until(lambda got: got[0] in (GOAWAY, PING))


@pytest.mark.parametrize("kind, payload", [(PING, bytes(8)), (SETTINGS, b"")])
def test_answers_that_nobody_reads(victim, kind, payload, scale):
    server = victim()
    with Http2Connection(server.port) as connection, bounded_memory(server):
        connection.socket.settimeout(5)  # A server that has stopped reading is a good answer.
        flood(connection, frame(kind, 0, 0, payload) * 1000, 4 * scale)


def test_streams_opened_and_reset_at_once(victim, scale):
    server = victim()
    with bounded_memory(server):
        with Http2Connection(server.port) as connection:
            try:
                for _ in range(2000 * scale):
                    connection.send(frame(RST_STREAM, 0, connection.request("Generate"), bytes(4)))
                connection.settled()
            except OSError:
                pass  # Enough, says the server.


def test_reflection_streams_are_bounded_and_take_no_thread(victim):
    server = victim()

    def threads():
        return len(os.listdir(f"/proc/{server.process.pid}/task"))

    before = threads()
    with Http2Connection(server.port) as connection:
        streams = [connection.request(DISCOVERY[-1]) for _ in range(90)]
        refused = {connection.frames_until(lambda got: got[0] == HEADERS and got[2] in streams)[2] for _ in range(26)}
        assert len(refused) == 26  # Of 90, 64 stay.
        assert threads() <= before + 8  # gRPC's own, as with any calls.
