"""The blocking client."""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

import grpc
from grpc_health.v1 import health_pb2
from typing_extensions import Self, Unpack

from hmar.v1 import image_generation_pb2 as pb

from .answers import Gathering, Model, Pictures, Progress, branch_request_options, model_of
from .connection import connection_of
from .delivery import Delivery
from .errors import HmarError, error_of
from .events import Accepted, Event, Image
from .pictures import Source
from .requests import EditOptions, Options, Target, make_edit, make_request
from .retry import Deadline, Retries, RetryPolicy
from .rpc import GENERATE, GENERATE_IMAGES, GET_MODEL, HEALTH, LIST_MODELS, SERVICE

_Request = TypeVar("_Request")
_Reply = TypeVar("_Reply")


class Client:
    """Generates and edits images on a server. Thread-safe: calls of many threads share one connection.

    ``server`` is host:port. ``key`` is sent with each call. With ``tls``, ``ca`` or ``cert`` the connection is encrypted:
    ``ca`` is who may vouch for the server (left out: whom the system trusts), ``cert`` and ``cert_key`` who this client
    is. What is None comes from the environment: see :class:`Connection`.
    """

    def __init__(self, server: str | None = None, *, key: str | None = None, tls: bool | None = None,
                 ca: str | os.PathLike[str] | None = None, cert: str | os.PathLike[str] | None = None,
                 cert_key: str | os.PathLike[str] | None = None, retry: RetryPolicy | None = None) -> None:
        self._connection = connection_of(server, key, tls, ca, cert, cert_key)
        self._retry = retry or RetryPolicy()
        self._closed = False
        if self._connection.secure:
            self._channel = grpc.secure_channel(self._connection.server, self._connection.credentials(),
                                                self._connection.options)
        else:
            self._channel = grpc.insecure_channel(self._connection.server, self._connection.options)
        self._generate = self._channel.unary_stream(*GENERATE)
        self._generate_images = self._channel.unary_unary(*GENERATE_IMAGES)
        self._list_models = self._channel.unary_unary(*LIST_MODELS)
        self._get_model = self._channel.unary_unary(*GET_MODEL)
        self._health = self._channel.unary_unary(*HEALTH)

    def close(self) -> None:
        """Cancels what is open."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def generate(self, target: Target = None, **options: Unpack[Options]) -> Iterator[Event]:
        """Makes images and yields what happens: Accepted, then each image's Previews and its Image, then Completed.

        To drop the iterator, or to close() it, cancels the call. Raises HmarError.
        """
        return self._stream(make_request(target, options), options.get("timeout"))

    def images(self, target: Target = None, *, progress: Callable[[Progress], None] | None = None,
               **options: Unpack[Options]) -> Pictures:
        """Makes images and returns them all. ``progress`` is called after each event; it asks for fast previews."""
        if progress is not None:
            options.setdefault("previews", "fast")
        return self._gather(make_request(target, options), progress, options.get("timeout"))

    def edit_events(self, image: Source, target: Target = None, **options: Unpack[EditOptions]) -> Iterator[Event]:
        """As generate, of an edit."""
        return self._stream(make_edit(image, target, options), options.get("timeout"))

    def edit(self, image: Source, target: Target = None, *, progress: Callable[[Progress], None] | None = None,
             **options: Unpack[EditOptions]) -> Pictures:
        """Generates a part of a picture anew: inside ``box``, where ``mask`` is white, or outside ``keep_box``."""
        if progress is not None:
            options.setdefault("previews", "fast")
        return self._gather(make_edit(image, target, options), progress, options.get("timeout"))

    def branch(self, image: Image, scales: int, **options: Unpack[Options]) -> Pictures:
        """Other images that begin with the first scales of this one, which must have its tokens."""
        target, options["model"], options["prefix"] = branch_request_options(image, scales)
        return self._gather(make_request(target, options), None, options.get("timeout"))

    def price(self, target: Target = None, **options: Unpack[Options]) -> Accepted:
        """What a request would be told, without running it."""
        request = make_request(target, options)
        request.validate_only = True
        reply = self._ask(self._generate_images, pb.GenerateImagesRequest(request=request), options.get("timeout"))
        event = Delivery(request).take(pb.GenerateResponse(accepted=reply.accepted))
        assert isinstance(event, Accepted)
        return event

    def models(self, *, timeout: float | None = 30) -> list[Model]:
        """What the server holds, its default model first."""
        return [model_of(model) for model in self._ask(self._list_models, pb.ListModelsRequest(), timeout).models]

    def model(self, name: str = "", *, timeout: float | None = 30) -> Model:
        """One model; the default one if there is no name."""
        return model_of(self._ask(self._get_model, pb.GetModelRequest(name=name), timeout).model)

    def health(self, *, timeout: float | None = 5) -> bool:
        """Whether the server is there and ready."""
        try:
            reply = self._health(health_pb2.HealthCheckRequest(service=SERVICE), timeout=timeout)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    def _stream(self, request: pb.GenerateRequest, timeout: float | None) -> Iterator[Event]:
        delivery, retries, deadline = Delivery(request), Retries(self._retry), Deadline(timeout)
        metadata = self._connection.metadata(request)
        while True:
            call = self._generate(request, timeout=deadline.left(), metadata=metadata)
            try:
                for response in call:
                    event = delivery.take(response)
                    if event is not None:
                        yield event
                delivery.end()
                return
            except grpc.RpcError as error:
                failure = error_of(error)
            finally:  # Also where the iterator is dropped.
                call.cancel()
            self._before_next_try(retries, deadline, failure)

    def _gather(self, request: pb.GenerateRequest, progress: Callable[[Progress], None] | None,
                timeout: float | None) -> Pictures:
        gathering = Gathering(request, progress)
        for event in self._stream(request, timeout):
            gathering.add(event)
        return gathering.pictures()

    def _ask(self, method: grpc.UnaryUnaryMultiCallable[_Request, _Reply], request: _Request, timeout: float | None) -> _Reply:
        retries, deadline = Retries(self._retry), Deadline(timeout)
        while True:
            try:
                return method(request, timeout=deadline.left(), metadata=self._connection.metadata())
            except grpc.RpcError as error:
                failure = error_of(error)
            self._before_next_try(retries, deadline, failure)

    def _before_next_try(self, retries: Retries, deadline: Deadline, failure: HmarError) -> None:
        """Waits. Raises the failure if there is none, or the client has been closed."""
        if not self._closed:
            _wait(retries, deadline, failure)
        if self._closed:
            raise failure from None


def _wait(retries: Retries, deadline: Deadline, failure: HmarError) -> None:
    """Until the next try. Raises the failure if there is none."""
    wait = retries.wait_after(failure)
    if wait is None:
        raise failure from None
    deadline.check(wait, failure)
    time.sleep(wait)
