"""What images and edit return: images with what was seen on the way."""
from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import overload

from PIL import Image as pil

from hmar.v1 import image_generation_pb2 as pb

from .events import Accepted, Completed, Event, Image, Preview

_SHEET_CELL = 128  #: Pixels a side of the smallest cell of a sheet.
_GAP = 4


@dataclass(frozen=True)
class Progress:
    """How far a call is, after an event."""

    event: Event
    done: int  #: Images that are finished,
    images: int  #: of so many.
    fraction: float  #: 0 to 1: scales seen, of all.


class Pictures(Sequence[Image]):
    """The images of one call, by index. In a notebook it shows its sheet."""

    def __init__(self, images: Iterable[Image], previews: Iterable[Preview], accepted: Accepted, completed: Completed) -> None:
        self._images = tuple(sorted(images, key=lambda image: image.image_index))
        self.previews = tuple(previews)  #: As they came.
        self.accepted = accepted
        self.completed = completed

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | Sequence[Image]:
        return self._images[index]

    def __len__(self) -> int:
        return len(self._images)

    def __repr__(self) -> str:
        return f"<{len(self)} images of {self.accepted.model}, seed {self.accepted.seed}, {len(self.previews)} previews>"

    def sheet(self) -> pil.Image:
        """A row an image: its previews from coarse to fine, then itself."""
        rows: list[list[pil.Image]] = []
        for image in self._images:
            seen = sorted((p for p in self.previews if p.image_index == image.image_index), key=lambda p: p.scale)
            rows.append([*(preview.picture for preview in seen), image.picture])
        side = max(_SHEET_CELL, *(image.picture.width for image in self._images))
        columns = max(map(len, rows))
        sheet = pil.new("RGB", (columns * (side + _GAP) - _GAP, len(rows) * (side + _GAP) - _GAP), "white")
        for y, row in enumerate(rows):
            for x, picture in enumerate(row, start=columns - len(row)):
                sheet.paste(picture.convert("RGB").resize((side, side), pil.Resampling.NEAREST),
                            (x * (side + _GAP), y * (side + _GAP)))
        return sheet

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        self.sheet().save(out, "PNG")
        return out.getvalue()


@dataclass
class Gathering:
    """Gathers a call's events into Pictures, and tells of progress."""

    request: pb.GenerateRequest
    progress: Callable[[Progress], None] | None = None
    _images: list[Image] = field(default_factory=list[Image])
    _previews: list[Preview] = field(default_factory=list[Preview])
    _accepted: Accepted | None = None
    _completed: Completed | None = None
    _scales: dict[int, float] = field(default_factory=dict[int, float])  # Of each image, the share that was seen.

    def add(self, event: Event) -> None:
        if isinstance(event, Image):
            self._images.append(event)
            self._scales[event.image_index] = 1.0
        elif isinstance(event, Preview):
            self._previews.append(event)
            self._scales[event.image_index] = (event.scale + 1) / max(1, event.num_scales)
        elif isinstance(event, Accepted):
            self._accepted = event
        else:
            self._completed = event
        if self.progress is not None:
            images = max(1, self.request.num_images)
            self.progress(Progress(event, len(self._images), images, sum(self._scales.values()) / images))

    def pictures(self) -> Pictures:
        assert self._accepted is not None and self._completed is not None  # Delivery saw to it.
        return Pictures(self._images, self._previews, self._accepted, self._completed)


@dataclass(frozen=True)
class Model:
    """What a server holds."""

    name: str
    architecture: str
    digest: str
    image_size: int  #: Pixels a side.
    classes: tuple[str, ...]  #: By number.
    patch_nums: tuple[int, ...]  #: Tokens a side, by scale.
    is_default: bool
    devices: tuple[str, ...]
    precision: str
    parameters: int
    class_aliases: tuple[tuple[str, ...], ...] = ()  #: What else classes are called, by number.

    @property
    def scales(self) -> int:
        return len(self.patch_nums)


def model_of(model: pb.Model) -> Model:
    aliases = [tuple(info.aliases) for info in model.class_infos]  # None, from a server that knows of none.
    aliases += [()] * (len(model.classes) - len(aliases))
    return Model(model.name, model.architecture, model.digest, model.image_size, tuple(model.classes),
                 tuple(model.patch_nums), model.is_default, tuple(model.devices), model.precision, model.parameters,
                 tuple(aliases))


def branch_request_options(image: Image, scales: int) -> tuple[str | int | None, str, tuple[tuple[int, ...], ...]]:
    """Target, model and prefix of what starts from the image's first scales."""
    if not image.tokens:
        raise ValueError("the image has no tokens: ask for them with tokens=True")
    if not 1 <= scales <= len(image.tokens):
        raise ValueError(f"scales={scales}: 1 to {len(image.tokens)}")
    made_of = image.receipt.message.request
    target: str | int | None = None
    if made_of.WhichOneof("target") == "class_id":
        target = made_of.class_id
    elif made_of.WhichOneof("target") == "class_name":
        target = made_of.class_name
    return target, image.receipt.model, image.tokens[:scales]
