"""The asyncio client."""
from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import TypeVar

import grpc
import grpc.aio
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


class AsyncClient:
    """As :class:`Client`, for one asyncio loop: make and use it inside of one. A task that is cancelled cancels its call."""

    def __init__(self, server: str | None = None, *, key: str | None = None, tls: bool | None = None,
                 ca: str | os.PathLike[str] | None = None, cert: str | os.PathLike[str] | None = None,
                 cert_key: str | os.PathLike[str] | None = None, retry: RetryPolicy | None = None) -> None:
        self._connection = connection_of(server, key, tls, ca, cert, cert_key)
        self._retry = retry or RetryPolicy()
        self._closed = False
        if self._connection.secure:
            self._channel = grpc.aio.secure_channel(self._connection.server, self._connection.credentials(),
                                                    self._connection.options)
        else:
            self._channel = grpc.aio.insecure_channel(self._connection.server, self._connection.options)
        self._generate = self._channel.unary_stream(*GENERATE)
        self._generate_images = self._channel.unary_unary(*GENERATE_IMAGES)
        self._list_models = self._channel.unary_unary(*LIST_MODELS)
        self._get_model = self._channel.unary_unary(*GET_MODEL)
        self._health = self._channel.unary_unary(*HEALTH)

    async def close(self) -> None:
        """Cancels what is open."""
        self._closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    def generate(self, target: Target = None, **options: Unpack[Options]) -> AsyncIterator[Event]:
        """As Client.generate. ``aclose()`` of the iterator cancels the call at once."""
        return self._stream(make_request(target, options), options.get("timeout"))

    async def images(self, target: Target = None, *, progress: Callable[[Progress], None] | None = None,
                     **options: Unpack[Options]) -> Pictures:
        """As Client.images."""
        if progress is not None:
            options.setdefault("previews", "fast")
        return await self._gather(make_request(target, options), progress, options.get("timeout"))

    def edit_events(self, image: Source, target: Target = None, **options: Unpack[EditOptions]) -> AsyncIterator[Event]:
        """As generate, of an edit."""
        return self._stream(make_edit(image, target, options), options.get("timeout"))

    async def edit(self, image: Source, target: Target = None, *, progress: Callable[[Progress], None] | None = None,
                   **options: Unpack[EditOptions]) -> Pictures:
        """As Client.edit."""
        if progress is not None:
            options.setdefault("previews", "fast")
        return await self._gather(make_edit(image, target, options), progress, options.get("timeout"))

    async def branch(self, image: Image, scales: int, **options: Unpack[Options]) -> Pictures:
        """As Client.branch."""
        target, options["model"], options["prefix"] = branch_request_options(image, scales)
        return await self._gather(make_request(target, options), None, options.get("timeout"))

    async def price(self, target: Target = None, **options: Unpack[Options]) -> Accepted:
        """As Client.price."""
        request = make_request(target, options)
        request.validate_only = True
        reply = await self._ask(self._generate_images, pb.GenerateImagesRequest(request=request), options.get("timeout"))
        event = Delivery(request).take(pb.GenerateResponse(accepted=reply.accepted))
        assert isinstance(event, Accepted)
        return event

    async def models(self, *, timeout: float | None = 30) -> list[Model]:
        """What the server holds, its default model first."""
        return [model_of(model) for model in (await self._ask(self._list_models, pb.ListModelsRequest(), timeout)).models]

    async def model(self, name: str = "", *, timeout: float | None = 30) -> Model:
        """One model; the default one if there is no name."""
        return model_of((await self._ask(self._get_model, pb.GetModelRequest(name=name), timeout)).model)

    async def health(self, *, timeout: float | None = 5) -> bool:
        """Whether the server is there and ready."""
        try:
            reply = await self._health(health_pb2.HealthCheckRequest(service=SERVICE), timeout=timeout)
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def _stream(self, request: pb.GenerateRequest, timeout: float | None) -> AsyncIterator[Event]:
        delivery, retries, deadline = Delivery(request), Retries(self._retry), Deadline(timeout)
        metadata = self._connection.metadata(request)
        while True:
            call = self._generate(request, timeout=deadline.left(), metadata=metadata)
            try:
                async for response in call:
                    event = delivery.take(response)
                    if event is not None:
                        yield event
                delivery.end()
                return
            except grpc.aio.AioRpcError as error:
                failure = error_of(error)
            finally:  # Also where the iterator is closed or its task cancelled.
                call.cancel()
            await self._before_next_try(retries, deadline, failure)

    async def _gather(self, request: pb.GenerateRequest, progress: Callable[[Progress], None] | None,
                      timeout: float | None) -> Pictures:
        gathering = Gathering(request, progress)
        async for event in self._stream(request, timeout):
            gathering.add(event)
        return gathering.pictures()

    async def _ask(self, method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Reply], request: _Request,
                   timeout: float | None) -> _Reply:
        retries, deadline = Retries(self._retry), Deadline(timeout)
        while True:
            try:
                return await method(request, timeout=deadline.left(), metadata=self._connection.metadata())
            except grpc.aio.AioRpcError as error:
                failure = error_of(error)
            await self._before_next_try(retries, deadline, failure)

    async def _before_next_try(self, retries: Retries, deadline: Deadline, failure: HmarError) -> None:
        """Waits. Raises the failure if there is none, or the client has been closed."""
        if not self._closed:
            await _wait(retries, deadline, failure)
        if self._closed:
            raise failure from None


async def _wait(retries: Retries, deadline: Deadline, failure: HmarError) -> None:
    """Until the next try. Raises the failure if there is none."""
    wait = retries.wait_after(failure)
    if wait is None:
        raise failure from None
    deadline.check(wait, failure)
    await asyncio.sleep(wait)
