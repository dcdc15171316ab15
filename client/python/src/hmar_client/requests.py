"""From Python's arguments to a request."""
from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Literal, TypeVar, Union

from typing_extensions import TypedDict

from hmar.v1 import image_generation_pb2 as pb

from .events import Tokens
from .pictures import Source, file_bytes

#: x0, y0, x1, y1 in pixels of the picture, half open.
Box = tuple[int, int, int, int]
#: A class by its name, an alias or its number; None: no class. The server finds it, whatever its case.
Target = Union[str, int, None]

_Enum = TypeVar("_Enum")

_PREVIEWS = {"none": pb.PreviewOptions.MODE_UNSPECIFIED, "fast": pb.PreviewOptions.MODE_FAST,
             "full": pb.PreviewOptions.MODE_FULL}
_FORMATS = {"png": pb.OutputOptions.FORMAT_PNG, "jpeg": pb.OutputOptions.FORMAT_JPEG, "webp": pb.OutputOptions.FORMAT_WEBP,
            "rgb": pb.OutputOptions.FORMAT_RGB8}
_RESIZES = {"none": pb.EditOptions.RESIZE_UNSPECIFIED, "cover": pb.EditOptions.RESIZE_COVER,
            "contain": pb.EditOptions.RESIZE_CONTAIN}
_ON_DEADLINE = {"expire": pb.Scheduling.ON_DEADLINE_UNSPECIFIED, "fail": pb.Scheduling.ON_DEADLINE_FAIL,
                "degrade": pb.Scheduling.ON_DEADLINE_DEGRADE}


class Options(TypedDict, total=False):
    """What generate, images, edit and branch take by name. What is left out is the server's or the model's default."""

    model: str
    seed: int  #: Of the first image; image i has seed + i. Left out: the client draws one.
    n: int  #: Images.
    cfg_scale: float  #: Classifier-free guidance.
    top_k: int
    top_p: float
    temperature: float
    schedule: Literal["default", "none", "quality"] | Sequence[Sequence[int]]  #: Passes of each scale.
    max_scales: int  #: End after so many: a draft.
    previews: Literal["none", "fast", "full"]
    preview_scales: Iterable[int]  #: From 0. Left out: all but the last.
    format: Literal["png", "jpeg", "webp", "rgb"]  #: How pictures travel.
    png_compression: int
    quality: int  #: 1 to 100, of jpeg and lossy webp.
    lossless: bool  #: A webp that keeps every pixel.
    tokens: bool  #: Fill Image.tokens.
    embed_receipt: bool  #: Write the receipt into the picture, too; not of rgb.
    receipt_in_png: bool  #: Its older name, of png alone.
    prefix: Tokens  #: Scales of an earlier image to start from.
    priority: int  #: -10 to 10; higher goes first.
    on_deadline: Literal["expire", "fail", "degrade"]  #: What becomes of what cannot be ready in time.
    request_id: str
    timeout: float  #: Seconds, over all tries.


class EditOptions(Options, total=False):
    """What edit takes on top."""

    box: Box  #: Generate inside of it.
    mask: Source  #: Generate where it is white; of the picture's size.
    keep_box: Box  #: Generate outside of it.
    resize: Literal["none", "cover", "contain"]
    composite: bool  #: False: the whole decoder's picture, not the given pixels outside the region.
    feather: int  #: Pixels, inside the region.


def make_request(target: Target, options: Options) -> pb.GenerateRequest:
    """Raises ValueError or TypeError for what no server could take."""
    request = pb.GenerateRequest(
        model=options.get("model", ""), seed=options.get("seed", random.getrandbits(63)), num_images=options.get("n", 1),
        request_id=options.get("request_id", ""))
    if isinstance(target, bool):
        raise TypeError(f"{target!r} is no class: a name, a number or None")
    if isinstance(target, str):
        request.class_name = target
    elif target is not None:
        request.class_id = target
    _set_sampling(request.sampling, options)
    _set_ways(request, options)
    if "prefix" in options:
        request.prefix.tokens.extend(pb.ScaleTokens(tokens=scale) for scale in options["prefix"])
    return request


def _set_sampling(sampling: pb.SamplingParams, options: Options) -> None:
    if "cfg_scale" in options:
        sampling.cfg_scale = options["cfg_scale"]
    if "top_k" in options:
        sampling.top_k = options["top_k"]
    if "top_p" in options:
        sampling.top_p = options["top_p"]
    if "temperature" in options:
        sampling.temperature = options["temperature"]
    if "max_scales" in options:
        sampling.max_scales = options["max_scales"]
    schedule = options.get("schedule", "default")
    if schedule == "none":
        sampling.mask_schedule.preset = pb.MaskSchedule.PRESET_NONE
    elif schedule == "quality":
        sampling.mask_schedule.preset = pb.MaskSchedule.PRESET_QUALITY
    elif schedule != "default":
        if isinstance(schedule, str):
            raise ValueError(f"schedule={schedule!r}: one of default, none, quality, or the passes of each scale")
        sampling.mask_schedule.scales.extend(pb.MaskSchedule.Scale(tokens=scale) for scale in schedule)


def _set_ways(request: pb.GenerateRequest, options: Options) -> None:
    """Previews, output, scheduling."""
    request.previews.mode = _choice("previews", options.get("previews", "none"), _PREVIEWS)
    request.previews.scales.extend(options.get("preview_scales", ()))
    request.output.format = _choice("format", options.get("format", "png"), _FORMATS)
    if "png_compression" in options:
        request.output.png_compression = options["png_compression"]
    if "quality" in options:
        request.output.quality = options["quality"]
    request.output.lossless = options.get("lossless", False)
    request.output.embed_receipt = options.get("embed_receipt", False)
    request.output.return_tokens = options.get("tokens", False)
    request.output.receipt_in_png = options.get("receipt_in_png", False)
    request.scheduling.priority = options.get("priority", 0)
    request.scheduling.on_deadline = _choice("on_deadline", options.get("on_deadline", "expire"), _ON_DEADLINE)


def _choice(name: str, value: str, choices: dict[str, _Enum]) -> _Enum:
    try:
        return choices[value]
    except KeyError:
        raise ValueError(f"{name}={value!r}: one of {', '.join(choices)}") from None


def make_edit(image: Source, target: Target, options: EditOptions) -> pb.GenerateRequest:
    """As make_request, of an edit."""
    regions = [name for name in ("box", "mask", "keep_box") if name in options]
    if len(regions) > 1:
        raise ValueError(f"{' and '.join(regions)} exclude each other")
    request = make_request(target, options)
    edit = request.edit
    edit.image = file_bytes(image)
    if "box" in options:
        edit.box.CopyFrom(_box(options["box"]))
    if "keep_box" in options:
        edit.keep_box.CopyFrom(_box(options["keep_box"]))
    if "mask" in options:
        edit.mask = file_bytes(options["mask"])
    edit.resize = _choice("resize", options.get("resize", "none"), _RESIZES)
    if "composite" in options:
        edit.composite = options["composite"]
    edit.feather = options.get("feather", 0)
    return request


def _box(box: Box) -> pb.EditOptions.Box:
    x0, y0, x1, y1 = box
    return pb.EditOptions.Box(x0=x0, y0=y0, x1=x1, y1=y1)
