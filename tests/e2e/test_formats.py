"""Pictures in every format: answers decoded, and uploads made, by Pillow."""
import io
import json
import re
import struct

import numpy as np
import pytest
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image, ImageOps

from requests_under_test import error_of, images_of, request

PNG, RGB8 = pb.OutputOptions.FORMAT_PNG, pb.OutputOptions.FORMAT_RGB8
JPEG, WEBP = pb.OutputOptions.FORMAT_JPEG, pb.OutputOptions.FORMAT_WEBP

FORMATS = {
    "png": pb.OutputOptions(format=PNG),
    "jpeg": pb.OutputOptions(format=JPEG),
    "jpeg of 100": pb.OutputOptions(format=JPEG, quality=100),
    "webp": pb.OutputOptions(format=WEBP, quality=90),
    "lossless webp": pb.OutputOptions(format=WEBP, lossless=True),
}
KINDS = {PNG: "PNG", JPEG: "JPEG", WEBP: "WEBP"}
every_format = pytest.mark.parametrize("output", FORMATS.values(), ids=FORMATS)


def opened(picture):
    return Image.open(io.BytesIO(picture.data))


def pixels(picture):
    return np.asarray(opened(picture).convert("RGB")).astype(int)


def rgb8(stub, **fields):
    image = images_of(stub.Generate(request(output=pb.OutputOptions(format=RGB8), **fields)))[0]
    return np.frombuffer(image.picture.data, np.uint8).reshape(32, 32, 3).astype(int)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@every_format
def test_images_and_previews_have_the_format_asked_for(stub, output):
    previews = pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FULL, scales=[0, 5])
    events = list(stub.Generate(request(output=output, previews=previews)))
    pictures = [getattr(event, event.WhichOneof("event")).picture for event in events[1:-1]]
    assert len(pictures) == 3
    for picture in pictures:
        assert (picture.format, picture.width, picture.height) == (output.format, 32, 32)
        assert picture.lossy == (output.format == JPEG or (output.format == WEBP and not output.lossless))
        assert opened(picture).format == KINDS[output.format]
        assert opened(picture).size == (32, 32)
    off = abs(pixels(pictures[-1]) - rgb8(stub))
    assert off.mean() < 12
    assert pictures[-1].lossy or off.max() == 0


@every_format
def test_the_receipt_in_the_picture_makes_the_same_bytes_again(stub, output):
    embedded = pb.OutputOptions()
    embedded.CopyFrom(output)
    embedded.embed_receipt = True
    image = images_of(stub.Generate(request(output=embedded, request_id="a <b> & c")))[0]
    info = opened(image.picture).info
    if output.format == PNG:
        text = info["hmar-receipt"]
    else:
        text = re.search(rb"<hmar:receipt>(.*)</hmar:receipt>", info["xmp"]).group(1).decode()
    receipt = json.loads(text)
    assert receipt["request_id"] == "a <b> & c"
    assert receipt["seed"] == str(image.seed)
    spelled = image.receipt.request.output
    assert spelled.format == output.format and spelled.lossless == output.lossless and spelled.embed_receipt
    assert spelled.quality == (output.quality or (85 if image.picture.lossy else 0))
    again = pb.GenerateRequest()
    again.CopyFrom(image.receipt.request)
    again.output.embed_receipt = False
    plain = images_of(stub.Generate(request(output=output)))[0]
    assert images_of(stub.Generate(again))[0].picture == plain.picture
    assert (pixels(plain.picture) == pixels(image.picture)).all()


def test_lossy_formats_take_less_and_more_quality_takes_more(stub):
    def size(output):
        return len(images_of(stub.Generate(request(output=output)))[0].picture.data)

    for kind in (JPEG, WEBP):
        sizes = [size(pb.OutputOptions(format=kind, quality=quality)) for quality in (10, 50, 85, 100)]
        assert sizes == sorted(sizes) and sizes[2] < size(FORMATS["png"])


def edit(image, **fields):
    fields.setdefault("box", pb.EditOptions.Box(x0=8, y0=8, x1=24, y1=24))
    return pb.EditOptions(image=image, **fields)


def photograph(width=32, height=32):
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.stack([255 * x, 255 * y, 128 + 60 * np.sin(7 * x + 5 * y)], 2).astype(np.uint8))


UPLOADS = {
    "jpeg": lambda image: saved(image, "JPEG", quality=95),
    "progressive jpeg": lambda image: saved(image, "JPEG", quality=95, progressive=True, subsampling=0),
    "grey jpeg": lambda image: saved(image.convert("L"), "JPEG"),
    "webp": lambda image: saved(image, "WEBP", quality=95),
    "lossless webp": lambda image: saved(image, "WEBP", lossless=True),
    "webp with alpha": lambda image: saved(image.convert("RGBA"), "WEBP", lossless=True),
}


@pytest.mark.parametrize("make", UPLOADS.values(), ids=UPLOADS)
def test_an_uploads_kept_pixels_are_those_that_pillow_reads(stub, make):
    upload = make(photograph())
    kept = np.ones((32, 32), bool)
    kept[8:24, 8:24] = False
    expected = np.asarray(Image.open(io.BytesIO(upload)).convert("RGB")).astype(int)
    for output in (pb.OutputOptions(format=RGB8), FORMATS["png"], FORMATS["lossless webp"]):
        image = images_of(stub.Generate(request(edit=edit(upload), output=output)))[0]
        assert not image.picture.lossy
        got = (np.frombuffer(image.picture.data, np.uint8).reshape(32, 32, 3).astype(int)
               if output.format == RGB8 else pixels(image.picture))
        assert (got[kept] == expected[kept]).all()  # Pillow bundles libjpeg-turbo and libwebp, too.
        assert (got[~kept] != expected[~kept]).any()
    lossy = images_of(stub.Generate(request(edit=edit(upload), output=FORMATS["jpeg of 100"])))[0]
    assert lossy.picture.lossy
    off = abs(pixels(lossy.picture) - expected)[kept]
    assert 0 < off.max() and off.mean() < 3


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_upload_is_turned_upright_and_boxes_are_of_what_is_seen(stub, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0}
    upload = saved(photograph(32, 32), kind, exif=exif.tobytes(), **options)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(upload))).convert("RGB"))
    box = pb.EditOptions.Box(x0=0, y0=0, x1=32, y1=8)  # The top, as it is seen.
    image = images_of(stub.Generate(request(edit=edit(upload, box=box), output=FORMATS["png"])))[0]
    assert (pixels(image.picture)[8:] == upright[8:]).all()
    assert (pixels(image.picture)[:8] != upright[:8]).any()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_mask_may_have_any_format(stub, kind):
    upload = saved(photograph(), "PNG")
    white = np.zeros((32, 32), np.uint8)
    white[:, 16:] = 255
    masked = pb.EditOptions(image=upload, mask=saved(Image.fromarray(white), kind))
    boxed = edit(upload, box=pb.EditOptions.Box(x0=16, y0=0, x1=32, y1=32))
    by_mask, by_box = (images_of(stub.Generate(request(edit=each)))[0] for each in (masked, boxed))
    assert by_mask.picture == by_box.picture


def lossless_webp_header(width, height):
    bits = struct.pack("<BI", 0x2F, width - 1 | (height - 1) << 14)
    return b"RIFF" + struct.pack("<I", 4 + 8 + 6) + b"WEBPVP8L" + struct.pack("<I", 5) + bits + b"\0"


def huge_jpeg(width, height):
    small = saved(Image.new("RGB", (16, 16)), "JPEG")
    frame = small.index(b"\xff\xc0")
    return small[:frame + 5] + struct.pack(">HH", height, width) + small[frame + 9:]


REFUSED = {
    "a CMYK jpeg": (saved(Image.new("CMYK", (32, 32)), "JPEG"), "a CMYK JPEG"),
    "an animation": (saved(Image.new("RGB", (32, 32)), "WEBP", save_all=True,
                           append_images=[Image.new("RGB", (32, 32), "red")]), "an animated WebP"),
    "half a jpeg": (saved(photograph(), "JPEG")[:500], "truncated JPEG"),
    "half a webp": (saved(photograph(), "WEBP")[:-20], "truncated WebP"),
    "a gif": (saved(Image.new("L", (32, 32)), "GIF"), "not a PNG, JPEG or WebP"),
    "the widest jpeg": (huge_jpeg(65500, 65500), "at most 32768 a side"),
    "a jpeg of many pixels": (huge_jpeg(32768, 32768), "1073741824 in all; at most 64000000"),
    "the largest webp": (lossless_webp_header(16383, 16383), "268402689 in all; at most 64000000"),
}


@pytest.mark.parametrize("upload, message", REFUSED.values(), ids=REFUSED)
def test_what_is_not_read_is_refused_with_its_name(stub, upload, message):
    edited = pb.EditOptions(image=upload, box=pb.EditOptions.Box(x1=1, y1=1), resize=pb.EditOptions.RESIZE_COVER)
    error = error_of(lambda: stub.Generate(request(edit=edited)))
    assert error.info.reason == "IMAGE_INVALID" and error.fields == ["edit.image"]
    assert message in error.message
