"""What of a call has been delivered, over all its tries."""
from __future__ import annotations

from typing import TypeVar

import grpc

from hmar.v1 import image_generation_pb2 as pb

from .errors import BadAnswer
from .events import Accepted, Completed, Event, Image, Preview, event_of

_Key = TypeVar("_Key")


class Delivery:
    """Holds a call's events against its request and leaves out what an earlier try has already delivered.

    Once it is accepted, the request names its model, for tries to come.
    """

    def __init__(self, request: pb.GenerateRequest) -> None:
        self._request = request
        self._images: set[int] = set()
        self._previews: set[tuple[int, int]] = set()
        self.complete = False

    def take(self, response: pb.GenerateResponse) -> Event | None:
        """The event to deliver, if it is one. Raises BadAnswer for what belongs to no such request."""
        event = event_of(response)
        if isinstance(event, (Preview, Image)):
            self._check(event.image_index < max(1, self._request.num_images), f"image {event.image_index}")
        if isinstance(event, Accepted):
            self._check(event.seed == self._request.seed, f"seed {event.seed}")
            self._request.model = event.model  # What another server takes for its default is not asked for.
        if isinstance(event, Preview):
            return event if self._is_new(self._previews, (event.image_index, event.scale)) else None
        if isinstance(event, Image):
            return event if self._is_new(self._images, event.image_index) else None
        if isinstance(event, Completed):
            self._check(len(self._images) == max(1, self._request.num_images), f"{len(self._images)} images")
            self.complete = True
        return event

    def end(self) -> None:
        """The stream has ended without an error."""
        self._check(self.complete, "an end without Completed")

    @staticmethod
    def _is_new(seen: set[_Key], key: _Key) -> bool:
        new = key not in seen
        seen.add(key)
        return new

    @staticmethod
    def _check(holds: bool, what: str) -> None:
        if not holds:
            raise BadAnswer(grpc.StatusCode.DATA_LOSS, f"the server answered with {what}, which is not of the request")
