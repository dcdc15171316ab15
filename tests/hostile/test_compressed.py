"""Compressed requests: gRPC would inflate them before it looks at their size."""
import zlib

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from http2 import DATA, GOAWAY, HEADERS, RST_STREAM, WindowedConnection, message
from memory import bounded_memory
from requests_under_test import request

BOMB_MB = 1024
MAX_GROWTH_MB = 64  # The bomb's wire bytes several times over, and a small part of what is in it.


def zeros(compressor):
    block = bytes(1 << 20)
    return b"".join(compressor.compress(block) for _ in range(BOMB_MB)) + compressor.flush()


@pytest.fixture(scope="module")
def bombs():
    """1 GB of zeros as about 1 MB, by the name of its encoding."""
    return {"gzip": zeros(zlib.compressobj(9, zlib.DEFLATED, 31)), "deflate": zeros(zlib.compressobj(9))}


@pytest.mark.parametrize("method", ["Generate", "GenerateImages", "ListModels", "/grpc.health.v1.Health/Check"])
@pytest.mark.parametrize("named, packed, flag", [
    ("gzip", "gzip", True), ("deflate", "deflate", True), ("gzip", "gzip", False), ("identity", "gzip", True),
    (None, "gzip", True), ("zstd", "gzip", True)])
def test_a_bomb_is_refused_and_never_inflated(server, bombs, method, named, packed, flag):
    headers = [("grpc-encoding", named)] if named else []
    with WindowedConnection(server.port) as connection, bounded_memory(server, peak_mb=MAX_GROWTH_MB):
        stream = connection.request(method, *headers)
        connection.send_within_windows(stream, message(bombs[packed], compressed=flag), end_stream=True)
        end = connection.wait_for_end(stream)
        assert end is not None and end[0] in (HEADERS, RST_STREAM, DATA, GOAWAY)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_of_a_whole_stream_is_refused(server, bombs, encoding):
    with WindowedConnection(server.port) as connection, bounded_memory(server, peak_mb=MAX_GROWTH_MB):
        stream = connection.request("Generate", ("content-encoding", encoding))
        connection.send_within_windows(stream, bombs[encoding], end_stream=True)
        assert connection.wait_for_end(stream) is not None


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_client_that_compresses_is_told(server, stub, algorithm):
    with pytest.raises(grpc.RpcError) as error:
        list(stub.Generate(request(request_id="r" * 100), compression=algorithm))
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "ompression" in error.value.details()


def test_what_is_not_compressed_is_served_as_ever(stub):
    assert stub.ListModels(pb.ListModelsRequest()).models
