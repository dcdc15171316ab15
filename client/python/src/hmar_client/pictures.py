"""Pictures in, pictures out: PIL images, arrays, files and bytes."""
from __future__ import annotations

import io
import os
import pathlib
from typing import Any, Protocol, Union, runtime_checkable

from PIL import Image as pil

from hmar.v1 import image_generation_pb2 as pb

#: A larger picture in an answer is no answer.
MAX_SIDE = 16384

#: What files of a format's pictures are called.
EXTENSIONS = {pb.OutputOptions.FORMAT_PNG: ".png", pb.OutputOptions.FORMAT_RGB8: ".rgb",
              pb.OutputOptions.FORMAT_JPEG: ".jpg", pb.OutputOptions.FORMAT_WEBP: ".webp"}
_PIL_FORMATS = {pb.OutputOptions.FORMAT_PNG: "PNG", pb.OutputOptions.FORMAT_JPEG: "JPEG",
                pb.OutputOptions.FORMAT_WEBP: "WEBP"}


@runtime_checkable
class Array(Protocol):
    """What numpy arrays, and torch tensors on the CPU, have."""

    @property
    def __array_interface__(self) -> dict[str, Any]: ...


#: A picture to send: a PIL image, a file's path, a file's bytes, or an array: H x W x 3 (4, or none) bytes, or H x W
#: booleans, which are a mask.
Source = Union[pil.Image, "os.PathLike[str]", str, bytes, Array]


def file_bytes(source: Source) -> bytes:
    """The bytes of a picture file: a path's or the given ones as they are, all else as PNG."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, (str, os.PathLike)):
        return pathlib.Path(source).read_bytes()
    image = source if isinstance(source, pil.Image) else _from_array(source)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _from_array(array: Array) -> pil.Image:
    interface = array.__array_interface__
    kind, shape = interface["typestr"][1:], tuple(interface["shape"])
    if kind == "b1":
        return pil.fromarray(array).convert("L")
    if kind != "u1" or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)):
        raise ValueError(f"an array of {kind} with shape {shape} is no picture: uint8, H x W, H x W x 3 or H x W x 4")
    return pil.fromarray(array)


def picture_of(picture: pb.Picture) -> pil.Image:
    """Of an answer. Decoded within the size that it states."""
    if not (0 < picture.width <= MAX_SIDE and 0 < picture.height <= MAX_SIDE):
        raise ValueError(f"a picture of {picture.width} x {picture.height} pixels")
    size = (picture.width, picture.height)
    if picture.format == pb.OutputOptions.FORMAT_RGB8:
        if len(picture.data) != 3 * picture.width * picture.height:
            raise ValueError(f"{len(picture.data)} bytes are no {picture.width} x {picture.height} RGB picture")
        return pil.frombytes("RGB", size, picture.data)
    if picture.format not in _PIL_FORMATS:
        raise ValueError(f"a picture of the unknown format {picture.format}")
    image = pil.open(io.BytesIO(picture.data), formats=(_PIL_FORMATS[picture.format],))
    if image.size != size:
        raise ValueError(f"a picture of {image.size[0]} x {image.size[1]} pixels that was to have {size[0]} x {size[1]}")
    image.load()
    return image
