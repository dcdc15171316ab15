"""Attacks on the HTTP port: slow, many, endless, in shapes that no decent client sends. Others are served beside each."""
import contextlib
import json
import select
import ssl

import pytest
import trustme

from http1 import PATIENCE_SECONDS, RawHttp, head, is_served, json_request
from memory import bounded_memory

ELSEWHERE = "127.0.0.2"
MULTIPART = "multipart/form-data; boundary=B"


@pytest.fixture
def door(victim):
    """door(*flags): a ready server of the test's own with an HTTP port."""
    return lambda *flags: victim("--http=127.0.0.1:0", *flags)


def reason_of(body):
    return json.loads(body)["error"]["reason"]


def answered(connections, count):
    """The answers of those that are answered first, at least so many."""
    answers, waiting = [], set(connections)
    while len(answers) < count:
        ready = select.select(waiting, [], [], PATIENCE_SECONDS)[0]
        assert ready
        answers += [connection.answer() for connection in ready]
        waiting -= set(ready)
    return answers


def part(name, data, headers=b""):
    return b'--B\r\ncontent-disposition: form-data; name="%s"\r\n%s\r\n%s\r\n' % (name, headers, data)


def test_a_thousand_that_say_nothing_or_little_keep_nobody_waiting(door):
    server = door("--receive-seconds=5")
    with bounded_memory(server), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(RawHttp(server.http_port, f"127.0.1.{1 + i % 4}")) for i in range(1000)]
        for connection in crowd[::2]:
            connection.send(b"GET /v1/models HTTP/1.1\r\nhost: a\r\nx: ")
        assert is_served(server.http_port) and is_served(server.http_port, "127.0.1.1")
        server.wait_for_metric(lambda open_now: open_now >= 1000, "hmar_connections")
        for connection in crowd[::2]:  # They are told, whatever they send in between.
            connection.send(b"x")
            assert connection.answer()[0] == 408 and connection.ended()
        assert is_served(server.http_port)


def test_slow_bodies_hold_their_part_of_the_buffer_and_no_worker(door):
    server = door("--receive-seconds=8", "--http-threads=8", "--max-message-bytes=16777216", "--max-upload-bytes=4194304",
                  "--http-buffer-bytes=67108864")
    announced = 8 << 20
    with bounded_memory(server), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(RawHttp(server.http_port)) for _ in range(40)]
        for connection in crowd:
            connection.send(head(path="/v1/images/edits", content_type=MULTIPART, content_length=announced) + b"--B\r\n")
        for connection in crowd[4:]:  # Half of the buffer is one client's.
            status, body = connection.answer()
            assert status == 429 and reason_of(body) == "UPLOAD_BACKLOG"
        assert is_served(server.http_port, ELSEWHERE)
        for connection in crowd[:4]:
            status, body = connection.answer()
            assert status == 408 and reason_of(body) == "DEADLINE_EXCEEDED"
    server.wait_for_metric(lambda held: held == 0, "hmar_buffer_bytes", buffer="http")


def test_calls_of_one_client_leave_workers_to_others(door):
    server = door("--http-threads=8", "--max-images-in-flight=8")
    long_call = json_request({"prompt": "ship", "n": 64, "mask_schedule": "quality"})
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(RawHttp(server.http_port)) for _ in range(30)]
        for connection in crowd:
            connection.send(long_call)
        refused = answered(crowd, 30 - 4 - 8)  # Four are being made, eight wait, at most: a client's half of both.
        assert {(status, reason_of(body)) for status, body in refused} == {(429, "TOO_MANY_CALLS")}
        for path in ("/healthz", "/v1/models"):
            with RawHttp(server.http_port, ELSEWHERE) as other:
                other.send(head("GET", path))
                assert other.answer()[0] == 200
        assert is_served(server.http_port, ELSEWHERE)
    server.wait_until_idle()  # Who has left is made nothing for.


@pytest.mark.parametrize("body", [
    b"".join(part(b"a%d" % i, b"") for i in range(100_000)) + b"--B--",
    part(b"a", b"x") * 100_000 + b"--B--",
    part(b"image", part(b"image", b"x", b"content-type: multipart/form-data; boundary=B2\r\n") * 1000) + b"--B--",
    b"--B\r\n" * 1_000_000,
    b"--B\r\n" + b"x: y\r\n" * 1_000_000,
    b"--B\r\ncontent-disposition: form-data; name=\"" + b"\\" * (8 << 20),
    b"\r\n--" * (2 << 20),
    part(b"image", b"\r\n--A" * (2 << 20)),
    part(b"prompt", b"x" * (8 << 20)) + b"--B--",
], ids=["parts", "same-part", "nested", "boundaries", "part-headers", "quote", "line-ends", "almost-boundaries", "text"])
def test_multipart_bombs_are_refused(door, body):
    server = door()
    with bounded_memory(server):
        with RawHttp(server.http_port) as connection:
            connection.send(head(path="/v1/images/edits", content_type=MULTIPART, content_length=len(body)) + body)
            status, told = connection.answer()
        assert status in (400, 413) and reason_of(told) in ("MESSAGE_INVALID", "IMAGE_INVALID")
        assert is_served(server.http_port)


@pytest.mark.parametrize("body", [
    b"[" * (4 << 20), b'{"a":' * 500_000, b'{"prefix":[' + b"[0]," * 1_000_000 + b"[0]]}",
    b'{"prompt":"' + b"x" * ((4 << 20) - 20) + b'"}', b'{"prompt":"ship","seed":' + b"9" * 1_000_000 + b"}",
    b"{" + b",".join(b'"%d":0' % i for i in range(300_000)) + b"}", b'{"prompt":"' + b"\\u0000" * 600_000 + b'"}',
    b'{"prompt":"ship","prefix":' + b"[" * 100 + b"]" * 100 + b"}",
], ids=["arrays", "objects", "values", "text", "digits", "fields", "escapes", "nested-prefix"])
def test_json_bombs_are_refused(door, body):
    server = door()
    with bounded_memory(server):
        with RawHttp(server.http_port) as connection:
            connection.send(head(content_type="application/json", content_length=len(body)) + body)
            status, told = connection.answer()
        assert status == 400 and len(told) < 10_000
        assert is_served(server.http_port)


def test_chunks_without_end_are_ended(door):
    server = door()
    start = head(content_type="application/json", transfer_encoding="chunked")
    with bounded_memory(server):
        for piece, times, expected in [(b"10000\r\n" + b" " * 0x10000 + b"\r\n", 100, 413),  # More than a body may have.
                                       (b"1;" + b"x" * 200 + b"\r\n \r\n", 10_000, 400),     # More around it than in it.
                                       (b"ffffffffffffffff\r\n", 1, 400), (b"7fffffff\r\n", 1, 413), (b"-1\r\n", 1, 400)]:
            with RawHttp(server.http_port) as connection:
                connection.send(start)
                for _ in range(times):
                    if not connection.send(piece):
                        break
                assert connection.answer()[0] == expected, piece[:20]
        assert is_served(server.http_port)


def test_heads_without_end_are_ended(door):
    server = door()
    with bounded_memory(server):
        for flood in (b"x" * (1 << 20), b"x: y\r\n" * 200_000, b"x: " + b"y" * (1 << 20), b"\r\n" * 100_000):
            with RawHttp(server.http_port) as connection:
                connection.send(b"GET / HTTP/1.1\r\nhost: a\r\n" if flood.startswith(b"x") else b"")
                connection.send(flood)
                assert connection.answer()[0] in (400, 431)
        assert is_served(server.http_port)


SMUGGLED = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize("lines", [
    b"content-length: 4\r\ntransfer-encoding: chunked", b"transfer-encoding: chunked\r\ncontent-length: 4",
    b"content-length: 4\r\ncontent-length: 5", b"content-length: 4, 4", b"content-length: +4", b"content-length:\t4\x0b",
    b"transfer-encoding: chunked\r\ntransfer-encoding: identity", b"transfer-encoding : chunked", b"transfer-encoding:\x0bchunked",
    b"transfer-encoding: chunked, identity", b"x: y\ntransfer-encoding: chunked", b"x: y\r\n transfer-encoding: chunked",
    b"x: y\rtransfer-encoding: chunked", b"transfer-encoding: chunked\x00", b"host: b\r\ncontent-length: 4",
])
def test_requests_that_two_readers_would_take_differently_are_refused(shared_door, lines):
    with RawHttp(shared_door.http_port) as connection:
        connection.send(b"POST /v1/images/generations HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n" + lines +
                        b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
        assert connection.answer()[0] in (400, 501)
        assert connection.ended()  # What followed was not taken for a request.


@pytest.fixture(scope="module")
def shared_door(hmar_server, model_folder, tmp_path_factory):
    from server_process import ServerProcess

    with ServerProcess(hmar_server, [f"--model=m={model_folder}", "--threads=1", "--http=127.0.0.1:0"],
                       tmp_path_factory.mktemp("door")) as running:
        running.wait_until_ready()
        yield running


def test_half_a_request_and_then_nobody(shared_door):
    with bounded_memory(shared_door):
        for cut in range(1, 120, 7):
            with RawHttp(shared_door.http_port) as connection:
                connection.send(json_request({"prompt": "ship", "n": 64})[:cut])
        assert is_served(shared_door.http_port)


def test_a_thousand_requests_at_once_are_answered_in_their_order(shared_door):
    with RawHttp(shared_door.http_port) as connection:
        connection.send((head("GET", "/healthz") + head("GET", "/v1/models/none") + head("GET", "/nothing")) * 1)
        assert [connection.answer()[0] for _ in range(3)] == [200, 404, 404] and connection.ended()
    with RawHttp(shared_door.http_port) as connection:
        connection.send(head("GET", "/healthz") * 1000)
        assert [connection.answer()[0] for _ in range(1000)] == 1000 * [200]
        assert connection.ended()  # So many is as many as one connection may ask for.


def test_nothing_of_the_server_is_told(shared_door):
    for text in (b"GET /../../etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n", b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: a\r\n\r\n",
                 b"GET /%00 HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
                 json_request({"prompt": "/etc/passwd"}, authorization="Bearer secret-of-mine")):
        with RawHttp(shared_door.http_port) as connection:
            connection.send(text)
            status, body = connection.answer()
            assert 400 <= status < 500 and b"/work" not in body and b"secret" not in body and b".cc" not in body
    assert "secret-of-mine" not in shared_door.output


def test_a_reader_that_stalls_is_let_go_of(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_IMAGE_SIZE", "512")
    server = start_on_gpus("--http=127.0.0.1:0", "--send-seconds=1", "--delivery-buffer-bytes=67108864")
    server.wait_until_ready()
    with bounded_memory(server):
        for fields in ({"stream": True, "events": "hmar", "previews": "full"}, {}):
            with RawHttp(server.http_port, receive_buffer=4096) as connection:
                connection.send(json_request({"class": 1, "n": 16, "request_id": "stalls", **fields}))
                line = json.loads(server.wait_for_line('"id":"stalls"', times=2 if not fields else 1))
                assert (line["code"], line["reason"]) == ("RESOURCE_EXHAUSTED", "CLIENT_TOO_SLOW")
        assert is_served_class(server)


def is_served_class(server):
    with RawHttp(server.http_port) as connection:
        connection.send(json_request({"class": 1}))
        return connection.answer()[0] == 200


def test_handshakes_that_stop_are_ended(start_server, model_folder, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(tmp_path / "cert"), append=True)
    server = start_server(f"--model=m={model_folder}", "--http=127.0.0.1:0", "--receive-seconds=3",
                          f"--tls-cert={tmp_path / 'cert'}", f"--tls-key={tmp_path / 'key'}")
    server.wait_for_line("ready")
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(RawHttp(server.http_port)) for _ in range(200)]
        for connection in silent[::2]:
            connection.send(b"\x16\x03\x01\x02\x00\x01\x00")
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with stack.enter_context(RawHttp(server.http_port)) as plain, context.wrap_socket(
                plain._socket, server_hostname="localhost") as secure:
            secure.sendall(head("GET", "/healthz"))
            assert secure.recv(12) == b"HTTP/1.1 200"
        assert all(connection.ended() for connection in silent)
