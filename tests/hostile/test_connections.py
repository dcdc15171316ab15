"""More connections than there is room for."""
import resource
import socket

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc

from http2 import Http2Connection
from memory import bounded_memory
from requests_under_test import images_of, request
from server_process import ServerProcess


@pytest.fixture(autouse=True)
def enough_descriptors():
    """The attacker's own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def starved_server(hmar_server, model_folder, tmp_path):
    """starved_server(limit, *flags): a server whose hard limit of descriptors is this."""
    started = []

    def start(limit, *flags):
        program = tmp_path / "hmar-server"
        program.write_text(f'#!/bin/sh\nulimit -n {limit}\nexec {hmar_server} "$@"\n')
        program.chmod(0o755)
        started.append(ServerProcess(program, [f"--model=m={model_folder}", "--threads=1", *flags], tmp_path))
        started[-1].wait_until_ready()
        return started[-1]

    yield start
    for server in started:
        server.stop()


def lists_models(server):
    """Whether a client that comes now is served."""
    with grpc.insecure_channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            image_generation_pb2_grpc.ImageGenerationServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=20)
            return True
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error  # Refused at once: no timeout.
            return False


def connect(server):
    """An idle connection; None if it was refused before it was one for us."""
    try:
        return socket.create_connection(("127.0.0.1", server.port), timeout=60)
    except ConnectionResetError:
        return None


def connect_many(server, count):
    """Idle connections, once the server has decided upon all of them."""
    connections = [connection for _ in range(count) if (connection := connect(server)) is not None]
    server.wait_for_metric(
        lambda refused: refused + server.metric("hmar_connections") >= count, "hmar_connections_refused_total")
    return connections


def test_1200_idle_connections_with_1024_descriptors(starved_server):
    server = starved_server(1024)
    assert lists_models(server)
    polite = server.stub()
    idle = connect_many(server, 1200)
    assert server.metric("hmar_connections_refused_total", reason="table_full") >= 800
    assert server.metric("hmar_connections_refused_total", reason="descriptors") == 0
    assert "descriptors" in server.output and "--max-connections 4096" in server.output
    assert not lists_models(server)
    assert images_of(polite.Generate(request()))  # Who was there before is served.
    for connection in idle:
        connection.close()
    server.wait_for_metric(lambda open_now: open_now <= 2, "hmar_connections")
    assert lists_models(server)


def test_the_limit_of_descriptors_is_raised_to_the_hard_one(hmar_server, model_folder, tmp_path):
    program = tmp_path / "hmar-server"
    program.write_text(f'#!/bin/sh\nulimit -S -n 256\nexec {hmar_server} "$@"\n')
    program.chmod(0o755)
    with ServerProcess(program, [f"--model=m={model_folder}", "--threads=1"], tmp_path) as server:
        assert server.port
        with open(f"/proc/{server.process.pid}/limits") as limits:
            soft, hard = next(line for line in limits if line.startswith("Max open files")).split()[3:5]
        assert soft == hard and int(soft) > 256
        assert "limit raised from 256 to" in server.output


def test_a_peer_has_its_share_and_a_full_table_recovers(victim):
    server = victim("--max-connections=64", "--max-connections-per-peer=16")
    with bounded_memory(server):
        idle = connect_many(server, 200)
        assert server.metric("hmar_connections") <= 16
        assert server.metric("hmar_connections_refused_total", reason="peer_limit") >= 184
        for connection in idle:
            connection.close()
        server.wait_for_metric(lambda open_now: open_now <= 1, "hmar_connections")
    assert lists_models(server)


def test_connections_that_come_and_go_leave_nothing(victim, scale):
    server = victim()
    with bounded_memory(server):
        for _ in range(300 * scale):
            with Http2Connection(server.port) as connection:
                connection.read_frame()
        server.wait_for_metric(lambda open_now: open_now <= 1, "hmar_connections")
    assert server.metric("hmar_connections_refused_total") == 0


def test_a_connection_that_says_nothing_is_closed(victim):
    server = victim("--receive-seconds=1")
    with Http2Connection(server.port, preface=False) as connection:
        connection.wait_until_closed()
