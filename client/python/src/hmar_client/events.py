"""What a call yields, as plain typed values."""
from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Union

from google.protobuf import duration_pb2
from PIL import Image as pil

from hmar.v1 import image_generation_pb2 as pb

from .pictures import EXTENSIONS, picture_of

#: Tokens of an image: by scale, row by row.
Tokens = tuple[tuple[int, ...], ...]


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


@dataclass(frozen=True)
class Accepted:
    """The server has taken the request."""

    request_id: str
    model: str
    seed: int  #: Of the first image; image i has seed + i.
    images_ahead: int  #: That go before the first, or beside it.
    estimated_seconds: float  #: Until the last image.
    estimated_device_seconds: float


@dataclass(frozen=True)
class _Pictured:
    message: pb.Picture = field(repr=False)

    @cached_property
    def picture(self) -> pil.Image:
        """The picture, decoded when it is first asked for."""
        return picture_of(self.message)

    @property
    def data(self) -> bytes:
        """The picture's bytes as the server sent them: a file of the format asked for, or RGB."""
        return self.message.data

    @property
    def lossy(self) -> bool:
        """The format has changed pixels; of an edit, also those that were kept."""
        return self.message.lossy

    @property
    def extension(self) -> str:
        """What the name of a file with ``data`` ends in: ".png", ".jpg", ".webp", or ".rgb"."""
        return EXTENSIONS.get(self.message.format, "")

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.picture.save(out, "PNG")
        return out.getvalue()


@dataclass(frozen=True)
class Preview(_Pictured):
    """An unfinished image after one of its scales."""

    image_index: int = 0
    scale: int = 0  #: From 0.
    num_scales: int = 0
    grid: int = 0  #: Tokens a side at this scale.
    dropped: int = 0  #: Previews of this image left out before this one, because it was read too slowly.


@dataclass(frozen=True)
class ScaleCost:
    """What a scale of an image took."""

    scale: int
    passes: int
    device_seconds: float
    max_batch_images: int  #: Most images that shared a step with it.


@dataclass(frozen=True)
class Receipt:
    """Enough to make the image again, and what it cost."""

    message: pb.Receipt = field(repr=False)  #: As it came; ``message.request`` makes the image again.
    request_id: str = ""
    model: str = ""
    model_digest: str = ""
    server_version: str = ""
    precision: str = ""
    seed: int = 0
    finished_at: datetime = datetime.fromtimestamp(0, timezone.utc)
    queued_seconds: float = 0.0
    ran_seconds: float = 0.0
    scales: tuple[ScaleCost, ...] = ()

    @property
    def device_seconds(self) -> float:
        """Of all scales."""
        return sum(scale.device_seconds for scale in self.scales)


@dataclass(frozen=True)
class Image(_Pictured):
    """A finished image."""

    image_index: int = 0
    seed: int = 0
    degraded: bool = False  #: It ended early for its deadline.
    scales_run: int = 0
    tokens: Tokens = ()  #: Empty unless ``tokens=True``; what ``branch`` starts from.
    generated_tokens: tuple[bool, ...] = ()  #: Of an edit: the last scale's grid, row by row; True: generated.
    receipt: Receipt = Receipt(pb.Receipt())


@dataclass(frozen=True)
class Completed:
    """All images have come."""

    images: int
    queued_seconds: float
    total_seconds: float


Event = Union[Accepted, Preview, Image, Completed]


def _accepted(event: pb.Accepted) -> Accepted:
    return Accepted(event.request_id, event.model, event.seed, event.images_ahead, _seconds(event.estimated_time),
                    event.estimated_gpu_seconds)


def _preview(event: pb.Preview) -> Preview:
    return Preview(event.picture, event.image_index, event.scale, event.num_scales, event.grid, event.dropped)


def _receipt(receipt: pb.Receipt) -> Receipt:
    return Receipt(
        receipt, receipt.request_id, receipt.model, receipt.model_digest, receipt.server_version, receipt.precision,
        receipt.seed, receipt.finished_at.ToDatetime(timezone.utc), _seconds(receipt.queued), _seconds(receipt.ran),
        tuple(ScaleCost(s.scale, s.passes, s.device_seconds, s.max_batch_images) for s in receipt.scales))


def image_of(image: pb.Image) -> Image:
    return Image(image.picture, image.image_index, image.seed, image.degraded, image.scales_run,
                 tuple(tuple(scale.tokens) for scale in image.tokens), tuple(image.generated_tokens),
                 _receipt(image.receipt))


def _completed(event: pb.Completed) -> Completed:
    return Completed(event.images, _seconds(event.queued), _seconds(event.total))


def event_of(response: pb.GenerateResponse) -> Event | None:
    """None: an event of a later server, which this client does not know."""
    kind = response.WhichOneof("event")
    if kind == "accepted":
        return _accepted(response.accepted)
    if kind == "preview":
        return _preview(response.preview)
    if kind == "image":
        return image_of(response.image)
    if kind == "completed":
        return _completed(response.completed)
    return None
