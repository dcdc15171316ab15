"""Requests that are small on the wire and would be large in memory: millions of entries, fields nobody knows, huge names."""
import time

import grpc
import pytest

from memory import bounded_memory
from requests_under_test import error_of

MESSAGE_BYTES = 39 << 20  # Just below --max-message-bytes.
MAX_GROWTH_MB = 150       # The bytes as they came, the strings made of them, and little else.
MAX_SECONDS = 20          # A refusal takes well under one; what is quadratic would take hours.


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, data):
    """A field of bytes: a string, a message, or packed entries."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def many(data):
    return data * (MESSAGE_BYTES // len(data) - 8)


def generate(bytes_of_request):
    return "Generate", bytes_of_request


def unary(bytes_of_request):
    return "GenerateImages", field(1, bytes_of_request)


TOO_MANY = "FIELD_OUT_OF_RANGE"
# (name, (method, bytes), reason, field)
FLOODS = [
    ("preview scales", generate(field(7, b"\x08\x01" + field(2, many(b"\x7f")))), TOO_MANY, "previews.scales"),
    ("preview scales one by one", generate(field(7, b"\x08\x01" + many(b"\x10\x7f"))), TOO_MANY, "previews.scales"),
    ("schedule of empty scales", generate(field(6, field(5, many(field(2, b""))))), TOO_MANY,
     "sampling.mask_schedule.scales"),
    ("passes of a scale", generate(field(6, field(5, field(2, field(1, many(b"\x01")))))), TOO_MANY,
     "sampling.mask_schedule.scales.tokens"),
    ("prefix of empty scales", generate(field(10, many(field(1, b"")))), TOO_MANY, "prefix.tokens"),
    ("prefix tokens", generate(field(10, field(1, field(1, many(b"\x01"))))), TOO_MANY, "prefix.tokens.tokens"),
    ("a seed again and again", generate(many(b"\x20\x07")), TOO_MANY, "seed"),
    ("unknown strings", generate(many(field(90, b""))), TOO_MANY, "GenerateRequest"),
    ("unknown numbers", generate(many(b"\xd0\x05\x01")), TOO_MANY, "GenerateRequest"),
    ("unknown groups", generate(many(b"\xd3\x05\xd4\x05")), "MESSAGE_INVALID", "GenerateRequest"),
    ("groups in groups", generate(many(b"\xd3\x05")), "MESSAGE_INVALID", "GenerateRequest"),
    ("unary preview scales", unary(field(7, b"\x08\x01" + field(2, many(b"\x7f")))), TOO_MANY,
     "request.previews.scales"),
    ("unary unknown strings", unary(many(field(90, b""))), TOO_MANY, "request"),
    ("unknown strings of a name", ("GetModel", many(field(90, b""))), TOO_MANY, "GetModelRequest"),
    ("unknown strings of nothing", ("ListModels", many(field(90, b""))), TOO_MANY, "ListModelsRequest"),
    ("a huge request id", generate(field(12, many(b"x"))), "REQUEST_ID_INVALID", "request_id"),
    ("a huge request id of zero width", generate(field(12, many("\u200b".encode()))), "REQUEST_ID_INVALID", "request_id"),
    ("a huge class name", generate(field(3, many(b"x"))), "UNKNOWN_CLASS", "class_name"),
    ("a huge model name", generate(field(1, many(b"x"))), "MODEL_NOT_FOUND", None),
    ("a huge model to get", ("GetModel", field(1, many(b"x"))), "MODEL_NOT_FOUND", None),
    ("a huge upload", generate(field(9, field(1, many(b"x")) + b"\x12\x00")), "IMAGE_INVALID", "edit.image"),
    ("one huge unknown field", generate(field(12, b"x" * 200) + field(90, many(b"x"))), "REQUEST_ID_INVALID", "request_id"),
]


@pytest.mark.parametrize("name", [flood[0] for flood in FLOODS])
def test_a_flood_of_entries_costs_little_more_than_its_bytes(server, name):
    (method, data), reason, bad_field = next(flood[1:] for flood in FLOODS if flood[0] == name)
    assert len(data) > MESSAGE_BYTES - 1000
    call = server.channel().unary_unary(f"/hmar.v1.ImageGenerationService/{method}")
    with bounded_memory(server, peak_mb=MAX_GROWTH_MB):
        start = time.monotonic()
        error = error_of(lambda: call(data, timeout=60))
        assert time.monotonic() - start < MAX_SECONDS
    assert error.info.reason == reason
    if bad_field is not None:
        assert bad_field in error.fields and len(error.fields) <= 3
    assert len(error.message) < 1000


DISCOVERY = {
    "/grpc.health.v1.Health/Check": many(field(90, b"")),
    "/grpc.health.v1.Health/Watch": field(1, many(b"x")),
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": many(field(90, b"")),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": field(4, many(b"x")),
}


@pytest.mark.parametrize("method", DISCOVERY)
def test_what_asks_for_a_name_is_short(server, method):
    call = server.channel().stream_stream(method)
    with bounded_memory(server, peak_mb=MAX_GROWTH_MB):
        with pytest.raises(grpc.RpcError) as error:
            next(call(iter([DISCOVERY[method]]), timeout=60))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "4096" in error.value.details()


def test_unknown_symbols_are_not_remembered(server):
    """Protobuf's own pool keeps every name it was ever asked for."""
    call = server.channel().stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    with bounded_memory(server, peak_mb=30):
        for answer in call((field(4, b"%d." % i + b"x" * 3900) for i in range(20000)), timeout=120):
            assert len(answer) < 8192


def test_what_is_longer_than_a_message_may_be_is_never_read(server):
    call = server.channel().unary_unary("/hmar.v1.ImageGenerationService/Generate")
    with bounded_memory(server, peak_mb=MAX_GROWTH_MB):
        with pytest.raises(grpc.RpcError) as error:
            call(bytes(64 << 20), timeout=60)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_floods_leave_nothing_behind(server):
    """Each again: memory is what it was, not once more."""
    calls = [(server.channel().unary_unary(f"/hmar.v1.ImageGenerationService/{method}"), data)
             for _, (method, data), _, _ in FLOODS[::4]]
    with bounded_memory(server, peak_mb=MAX_GROWTH_MB, left=1.3):
        for call, data in calls * 2:
            error_of(lambda: call(data, timeout=60))
