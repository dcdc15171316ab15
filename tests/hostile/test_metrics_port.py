"""The metrics port against connections that are slow, many, endless or hung up."""
import contextlib
import http.client
import socket

import pytest

SLOW_CONNECTIONS = 300
SCRAPE_SECONDS = 10  # Prometheus' own limit, by default.


def connect(server):
    return socket.create_connection(("127.0.0.1", server.metrics_port), timeout=SCRAPE_SECONDS)


def ask(server, method="GET", path="/metrics"):
    """The status and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.metrics_port, timeout=SCRAPE_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def assert_scrapes(server):
    status, body = ask(server)
    assert status == 200 and "hmar_build_info" in body


@pytest.fixture
def server(start_server, model_folder):
    running = start_server(f"--model=m={model_folder}", "--threads=1")
    assert_scrapes(running)
    return running


@pytest.mark.parametrize("said", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Never: "],
                         ids=["silent", "half-a-line", "half-a-header"])
def test_slow_connections_do_not_keep_a_scrape_waiting(server, said):
    with contextlib.ExitStack() as slow:
        for _ in range(SLOW_CONNECTIONS):
            connection = slow.enter_context(connect(server))
            connection.sendall(said)
        for _ in range(3):
            assert_scrapes(server)
    assert_scrapes(server)


def test_connections_that_drip_a_byte_a_turn_do_not_either(server):
    with contextlib.ExitStack() as slow:
        connections = [slow.enter_context(connect(server)) for _ in range(SLOW_CONNECTIONS)]
        for byte in b"GET /metrics HTTP/1.1\r\n":
            for connection in connections:
                with contextlib.suppress(ConnectionError):  # The oldest have made room for others.
                    connection.sendall(bytes([byte]))
            assert_scrapes(server)


def test_a_flood_of_connections_leaves_no_descriptor_and_no_memory_behind(server):
    files = server.metric("process_open_fds")
    memory = server.memory_mb("VmRSS")
    for _ in range(20):
        with contextlib.ExitStack() as flood:
            for _ in range(100):
                flood.enter_context(connect(server)).sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    server.wait_for_metric(lambda now: now <= files + 5, "process_open_fds")
    assert server.memory_mb("VmRSS") < memory + 50


def test_headers_without_end_are_cut_off(server):
    memory = server.memory_mb("VmRSS")
    with connect(server) as endless, contextlib.suppress(ConnectionError):
        endless.sendall(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(1000):
            endless.sendall(b"X-More: " + b"x" * 8000 + b"\r\n")
        pytest.fail("8 MB of headers were taken")
    assert_scrapes(server)
    assert server.memory_mb("VmRSS") < memory + 50


def test_what_is_not_a_scrape_is_refused(server):
    assert ask(server, "HEAD") == (200, "")
    assert ask(server, path="/")[0] == 404
    assert ask(server, "POST")[0] == 405
    with connect(server) as noise:
        noise.sendall(bytes(range(256)) * 16)
        noise.settimeout(SCRAPE_SECONDS)
        with contextlib.suppress(ConnectionError):
            assert b"200 OK" not in noise.recv(1 << 16)
    assert_scrapes(server)
