"""What goes wrong, as exceptions: the server's reason, the fields that are wrong, when to try again."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DETAILS_HEADER = "grpc-status-details-bin"


@dataclass(frozen=True)
class Violation:
    """A field of the request that cannot be as it is."""

    field: str  #: As in the proto, dotted: ``edit.box``.
    description: str  #: What is wrong: the value and its limit.


class HmarError(Exception):
    """A call that failed. Subclasses say how; ``reason`` says why, in the words of the server's README.

    Attributes:
        code: gRPC's status code.
        message: A sentence, by the server.
        reason: ``QUEUE_FULL``, ``FIELD_OUT_OF_RANGE``, ...; empty if it did not come from the server.
        violations: The fields that are wrong, of an :class:`InvalidRequest`.
        retry_after: Seconds after which another try may succeed; None: the server does not expect it to.
        request_id: The call's id in the server's log; may be empty.
    """

    def __init__(self, code: grpc.StatusCode, message: str, *, reason: str = "", violations: Iterable[Violation] = (),
                 retry_after: float | None = None, request_id: str = "") -> None:
        self.code = code
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.request_id = request_id
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.reason or self.code.name}: {self.message}"
        if self.retry_after is not None:
            text += f" (try again in {self.retry_after:.3g} s)"
        return text


class InvalidRequest(HmarError):
    """The request can never succeed as it is: see ``violations``."""


class NotFound(HmarError):
    """The server holds no such model."""


class Unauthenticated(HmarError):
    """There is no key, or the server does not know it, or it has expired."""


class PermissionDenied(HmarError):
    """The key may not do this."""


class Overloaded(HmarError):
    """There is no room, or a quota is used up: ``retry_after`` says when to try again."""


class Unavailable(HmarError):
    """Nobody answers, or the server is starting or going down."""


class DeadlineExceeded(HmarError):
    """The deadline passed, or cannot be met."""


class Cancelled(HmarError):
    """The call was cancelled."""


class BadAnswer(HmarError):
    """What came back is no answer to the request."""


_KINDS: dict[grpc.StatusCode, type[HmarError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
}


class FailedCall(Protocol):
    """What grpc.Call and grpc.aio.AioRpcError have in common."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    def trailing_metadata(self) -> Iterable[Any] | None: ...


def error_of(call: FailedCall) -> HmarError:
    """The exception for a call that has failed."""
    code = call.code()
    kind = _KINDS.get(code, HmarError)
    reason, request_id = "", ""
    violations: list[Violation] = []
    retry_after: float | None = None
    for detail in _details_of(call.trailing_metadata()):
        info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, request_id = info.reason, info.metadata.get("request_id", "")
        elif detail.Unpack(bad_request):
            violations += [Violation(v.field, v.description) for v in bad_request.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return kind(code, call.details() or code.name, reason=reason, violations=violations, retry_after=retry_after,
                request_id=request_id)


def _details_of(metadata: Iterable[Any] | None) -> list[any_pb2.Any]:
    for key, value in metadata or ():
        if key == DETAILS_HEADER and isinstance(value, bytes):
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:  # Not ours, or damaged: the code and the message are still true.
                return []
            return list(status.details)
    return []
