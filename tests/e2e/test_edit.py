"""Edits through the real server: untouched pixels, regions, uploads of every kind, and what a bad upload gets."""
import hashlib
import io
import threading
import zlib

import grpc
import numpy as np
import pytest
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from requests_under_test import FAST, FULL, IMAGE_SIZE, RGB8, error_of, images_of, one_pass, pixels, previews_of, request

BOX = pb.EditOptions.Box(x0=8, y0=4, x1=24, y1=20)
MOST_EXTRA_MB = 256  # For the largest upload that is allowed.


def png(array_or_image, **save):
    image = array_or_image if isinstance(array_or_image, Image.Image) else Image.fromarray(array_or_image)
    out = io.BytesIO()
    image.save(out, "PNG", **save)
    return out.getvalue()


def photo(seed=1, width=IMAGE_SIZE, height=IMAGE_SIZE):
    """Smooth waves with some noise: no flat areas in which a wrong pixel could hide."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [128 + 90 * np.sin(x / (4 + c) + seed + c) * np.cos(y / (5 + c)) for c in range(3)]
    return (np.stack(waves, -1) + rng.integers(-12, 13, (height, width, 3))).clip(0, 255).astype(np.uint8)


def edit(stub, source, seed=3, class_name=None, output=pb.OutputOptions(format=RGB8), num_images=1, **options):
    data = source if isinstance(source, bytes) else png(source)
    call = request(class_name, seed, sampling=one_pass(), output=output, num_images=num_images,
                   edit=pb.EditOptions(image=data, **options))
    return stub.GenerateImages(pb.GenerateImagesRequest(request=call)).images


def inside(box=BOX):
    region = np.zeros((IMAGE_SIZE, IMAGE_SIZE), bool)
    region[box.y0:box.y1, box.x0:box.x1] = True
    return region


def assert_edited(picture, source, region):
    assert np.array_equal(picture[~region], source[~region]), "a pixel outside the region changed"
    assert not region.any() or not np.array_equal(picture[region], source[region]), "nothing was generated"


@pytest.mark.parametrize("class_name", [None, "cat"])
def test_a_box_is_generated_and_the_rest_is_untouched(stub, class_name):
    source = photo()
    image, = edit(stub, source, class_name=class_name, box=BOX)
    assert_edited(pixels(image.picture), source, inside())
    cells = np.array(image.generated_tokens).reshape(8, 8)
    assert np.array_equal(cells, inside().reshape(8, 4, 8, 4).any((1, 3)))


def test_a_keep_box_is_outpainting(stub):
    source = photo()
    image, = edit(stub, source, keep_box=BOX)
    assert_edited(pixels(image.picture), source, ~inside())


@pytest.mark.parametrize("name", ["box", "keep_box", "mask", "bars"])
def test_a_receipt_and_the_upload_make_the_image_again(stub, name):
    grey = np.where(np.random.default_rng(3).random((IMAGE_SIZE, IMAGE_SIZE)) < 0.3, 255, 0).astype(np.uint8)
    options = {
        "box": dict(box=BOX, feather=3),
        "keep_box": dict(keep_box=BOX, composite=False),
        "mask": dict(mask=png(grey)),
        "bars": dict(resize=pb.EditOptions.RESIZE_CONTAIN, feather=2),
    }[name]
    upload = png(photo(width=60, height=30) if name == "bars" else photo())
    for image in edit(stub, upload, num_images=2, output=pb.OutputOptions(png_compression=6), **options):
        receipt = image.receipt
        again = pb.GenerateRequest.FromString(receipt.request.SerializeToString())
        assert receipt.edit_image_sha256 == hashlib.sha256(upload).hexdigest() and not again.edit.image
        again.edit.image = upload
        if again.edit.WhichOneof("region") == "mask":
            assert receipt.edit_mask_sha256 == hashlib.sha256(options["mask"]).hexdigest() and not again.edit.mask
            again.edit.mask = options["mask"]
        assert (again.edit.WhichOneof("region") == "mask") == (name == "mask") == bool(receipt.edit_mask_sha256)
        assert images_of(stub.Generate(again))[0].picture == image.picture


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_mask_may_be_of_any_colour_type(stub, mode):
    source, region = photo(), np.random.default_rng(2).random((IMAGE_SIZE, IMAGE_SIZE)) < 0.2
    grey = Image.fromarray(np.where(region, 200, 60).astype(np.uint8))
    if mode == "I;16":
        grey = Image.fromarray(np.where(region, 200 * 257, 60 * 257).astype(np.uint16))
    elif mode in ("LA", "RGBA"):
        grey = grey.convert(mode)
        grey.putalpha(0)  # Ignored.
    else:
        grey = grey.point(lambda v: 255 if v >= 128 else 0).convert(mode)
    image, = edit(stub, source, mask=png(grey))
    assert_edited(pixels(image.picture), source, region)


def over_white(rgba):
    alpha = rgba[..., 3:].astype(float) / 255
    return np.floor(rgba[..., :3] * alpha + 255 * (1 - alpha) + 0.5).astype(int)


def test_uploads_of_every_kind_keep_their_pixels(stub):
    rgb = photo(4)
    grey = rgb[..., 0]
    palette = Image.fromarray(rgb).quantize(64)
    deep = grey.astype(np.uint16) * 257
    kinds = {"RGB": (png(rgb), rgb), "grey": (png(grey), np.stack([grey] * 3, -1)),
             "16 bits": (png(Image.fromarray(deep)), np.stack([grey] * 3, -1)),
             "palette": (png(palette), np.asarray(palette.convert("RGB"))),
             "1 bit": (png(Image.fromarray(grey > 128)), np.stack([np.where(grey > 128, 255, 0)] * 3, -1))}
    for kind, (data, wanted) in kinds.items():
        image, = edit(stub, data, box=BOX)
        assert np.array_equal(pixels(image.picture)[~inside()], wanted[~inside()]), kind


def test_transparency_is_laid_over_white(stub):
    rgba = np.dstack([photo(5), np.random.default_rng(3).integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)])
    image, = edit(stub, png(rgba), box=BOX)
    difference = np.abs(pixels(image.picture).astype(int) - over_white(rgba))
    assert difference[~inside()].max() <= 1


def test_an_empty_mask_gives_the_upload_back(stub):
    source = photo(6)
    image, = edit(stub, source, mask=png(np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)),
                  output=pb.OutputOptions(return_tokens=True))
    assert np.array_equal(pixels(image.picture), source)
    assert not any(image.generated_tokens) and image.scales_run == 0


def test_a_region_of_one_pixel_generates_its_cell_and_no_more_is_shown(stub):
    source, region = photo(7), np.zeros((IMAGE_SIZE, IMAGE_SIZE), bool)
    region[13, 30] = True
    image, = edit(stub, source, mask=png(region), composite=False)
    assert [i for i, generated in enumerate(image.generated_tokens) if generated] == [13 // 4 * 8 + 30 // 4]
    image, = edit(stub, source, mask=png(region))
    assert np.array_equal(pixels(image.picture)[~region], source[~region])


def test_a_region_that_covers_everything_keeps_the_first_scale_alone(stub):
    everything = pb.EditOptions.Box(x1=IMAGE_SIZE, y1=IMAGE_SIZE)
    tokens = pb.OutputOptions(return_tokens=True)
    kept, = edit(stub, photo(8), mask=png(np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)), output=tokens)
    image, = edit(stub, photo(8), box=everything, output=tokens)
    assert all(image.generated_tokens)
    assert image.tokens[0] == kept.tokens[0] and image.tokens[1:] != kept.tokens[1:]


def test_variations_differ_inside_the_region_alone(stub):
    source = photo(9)
    images = edit(stub, source, box=BOX, num_images=4)
    pictures = [pixels(image.picture) for image in images]
    for picture in pictures:
        assert_edited(picture, source, inside())
    assert len({picture.tobytes() for picture in pictures}) == 4


def test_a_feather_stays_inside(stub):
    source = photo(10)
    hard, = edit(stub, source, box=BOX)
    soft, = edit(stub, source, box=BOX, feather=3)
    picture = pixels(soft.picture)
    assert_edited(picture, source, inside())
    deep = inside(pb.EditOptions.Box(x0=11, y0=7, x1=21, y1=17))  # 3 pixels in.
    assert np.array_equal(picture[deep], pixels(hard.picture)[deep])
    assert not np.array_equal(picture, pixels(hard.picture))


@pytest.mark.parametrize("mode, side", [(FAST, 32), (FULL, 32)])
def test_previews_are_composited(stub, mode, side):
    source = photo(11)
    events = list(stub.Generate(request(
        "dog", 5, sampling=one_pass(), previews=pb.PreviewOptions(mode=mode), output=pb.OutputOptions(format=RGB8),
        edit=pb.EditOptions(image=png(source), box=BOX))))
    previews = previews_of(events)
    assert [preview.scale for preview in previews] == list(range(6))
    for preview in previews:
        picture = pixels(preview.picture)
        assert picture.shape == (side, side, 3)
        assert np.array_equal(picture[~inside()], source[~inside()])
    assert len(images_of(events)) == 1


def resized_by_pillow(source, resize):
    """What another library's antialiased bicubic makes of it, and the rows and columns it lands on."""
    (height, width), S = source.shape[:2], IMAGE_SIZE
    image = Image.fromarray(source)
    if resize == pb.EditOptions.RESIZE_COVER:
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        square = image.resize((S, S), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
        return np.asarray(square).astype(int), slice(0, S), slice(0, S)
    size = [max(1, round(S * side / max(width, height))) for side in (width, height)]
    left, top = (S - size[0]) // 2, (S - size[1]) // 2
    wanted = np.asarray(image.resize(size, Image.Resampling.BICUBIC)).astype(int)
    return wanted, slice(top, top + size[1]), slice(left, left + size[0])


@pytest.mark.parametrize("resize", [pb.EditOptions.RESIZE_COVER, pb.EditOptions.RESIZE_CONTAIN])
@pytest.mark.parametrize("width, height", [(100, 60), (37, 500), (9, 7), (64, 64)])
def test_a_resized_upload_keeps_the_resized_pictures_bytes(stub, resize, width, height):
    source = photo(12, width, height)
    nothing = png(np.zeros((height, width), np.uint8))
    resized, = edit(stub, source, mask=nothing, resize=resize)
    corner = pb.EditOptions.Box(x1=width // 3, y1=height // 3)
    image, = edit(stub, source, box=corner, resize=resize)
    before, after = pixels(resized.picture), pixels(image.picture)
    changed = (before != after).any(-1)
    assert changed.any() or resize == pb.EditOptions.RESIZE_COVER  # Cover may crop the corner away.
    wanted, rows, columns = resized_by_pillow(source, resize)
    assert np.abs(before[rows, columns].astype(int) - wanted).mean() < 3


def test_contain_alone_paints_the_bars(stub):
    image, = edit(stub, photo(13, 64, 32), resize=pb.EditOptions.RESIZE_CONTAIN, composite=False)
    cells = np.array(image.generated_tokens).reshape(8, 8)
    assert cells[:2].all() and cells[-2:].all() and not cells[2:6].any()


def test_two_users_with_one_mask_get_their_own_pictures_back(server):
    mask = png((np.arange(IMAGE_SIZE)[None] >= 16) & np.ones((IMAGE_SIZE, 1), bool))
    answers = {}

    def user(i):
        answers[i], = edit(server.stub(), photo(100 + i), mask=mask, seed=1)

    users = [threading.Thread(target=user, args=(i,)) for i in range(8)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    for i in range(8):
        assert np.array_equal(pixels(answers[i].picture)[:, :16], photo(100 + i)[:, :16]), i


def test_an_edit_is_the_same_in_any_company(server):
    source = photo(14)
    alone, = edit(server.stub(), source, box=BOX, seed=77, class_name="frog")
    streams = [server.stub().Generate(request(seed=i, num_images=4)) for i in range(3)]
    crowded, = edit(server.stub(), source, box=BOX, seed=77, class_name="frog")
    for stream in streams:
        list(stream)
    assert crowded.picture.data == alone.picture.data


def test_a_picture_is_encoded_once_for_all_that_edit_it(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    edit(server.stub(), photo(15), box=BOX, num_images=3)
    edit(server.stub(), photo(15), keep_box=BOX, seed=9)
    assert server.metric("hmar_upload_lookups_total", outcome="miss") == 1
    assert server.metric("hmar_upload_lookups_total", outcome="hit") == 3
    assert server.metric("hmar_upload_encode_duration_seconds_count") == 1
    assert server.metric("hmar_upload_read_duration_seconds_count") == 2


def bomb(width, height):
    """A PNG whose header promises a picture and whose data is a few bytes."""
    data = bytearray(png(np.zeros((1, 1), np.uint8)))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


SOURCE = png(photo())
BAD_UPLOADS = [
    ("edit.image", "IMAGE_INVALID", {"image": b"GIF89a" + bytes(50), "box": BOX}),
    ("edit.image", "IMAGE_INVALID", {"image": SOURCE[:-40], "box": BOX}),
    ("edit.image", "IMAGE_INVALID", {"image": SOURCE[:20], "box": BOX}),
    ("edit.image", "IMAGE_INVALID", {"image": SOURCE[:200] + bytes(30) + SOURCE[230:], "box": BOX}),
    ("edit.image", "IMAGE_INVALID", {"image": bomb(8001, 8000), "box": BOX, "resize": pb.EditOptions.RESIZE_COVER}),
    ("edit.image", "IMAGE_INVALID", {"image": bomb(2**31 - 1, 1), "box": BOX, "resize": pb.EditOptions.RESIZE_COVER}),
    ("edit.image", "IMAGE_INVALID", {"image": bytes(17 << 20), "box": BOX}),
    ("edit.image", "FIELD_MISSING", {"box": BOX}),
    ("edit.image", "IMAGE_SIZE_MISMATCH", {"image": png(photo(1, 33, 32)), "box": BOX}),
    ("edit.mask", "IMAGE_SIZE_MISMATCH", {"image": SOURCE, "mask": png(np.zeros((31, 32), np.uint8))}),
    ("edit.mask", "IMAGE_INVALID", {"image": SOURCE, "mask": b"no"}),
    ("edit.mask", "IMAGE_INVALID", {"image": SOURCE, "mask": SOURCE[:-50]}),
    ("edit.box", "FIELD_OUT_OF_RANGE", {"image": SOURCE, "box": pb.EditOptions.Box(x0=5, x1=5, y1=9)}),
    ("edit.box", "FIELD_OUT_OF_RANGE", {"image": SOURCE, "box": pb.EditOptions.Box(x1=33, y1=9)}),
    ("edit.box", "FIELD_OUT_OF_RANGE", {"image": SOURCE, "box": pb.EditOptions.Box(x1=2**32 - 1, y1=2**32 - 1)}),
    ("edit.keep_box", "FIELD_OUT_OF_RANGE", {"image": SOURCE, "keep_box": pb.EditOptions.Box(y0=9, x1=3, y1=8)}),
    ("edit.feather", "FIELD_OUT_OF_RANGE", {"image": SOURCE, "box": BOX, "feather": 33}),
    ("edit.resize", "UNKNOWN_ENUM_VALUE", {"image": SOURCE, "box": BOX, "resize": 9}),
]


@pytest.mark.parametrize("unary", [False, True], ids=["stream", "unary"])
@pytest.mark.parametrize("field, reason, options", BAD_UPLOADS,
                         ids=[f"{i}-{field}" for i, (field, _, _) in enumerate(BAD_UPLOADS)])
def test_a_bad_upload_is_named_and_nothing_is_made(server, stub, field, reason, options, unary):
    images = server.metric("hmar_images_total")
    bad = request(None, 1, edit=pb.EditOptions(**options))
    error = error_of(lambda: stub.GenerateImages(pb.GenerateImagesRequest(request=bad)) if unary else stub.Generate(bad))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert set(error.fields) == {("request." if unary else "") + field}
    assert error.info.reason == reason
    assert server.metric("hmar_images_total") == images


def test_the_largest_upload_takes_bounded_memory(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    edit(server.stub(), photo(), box=BOX)
    before = server.memory_mb("VmHWM")
    for mode, colour in [("RGB", (90, 30, 200)), ("RGBA", (90, 30, 200, 128))]:
        large = png(Image.new(mode, (8000, 8000), colour), compress_level=1)
        image, = edit(server.stub(), large, box=pb.EditOptions.Box(x1=4000, y1=8000),
                      resize=pb.EditOptions.RESIZE_COVER)
        picture = pixels(image.picture)[:, 16:]
        assert (picture == (np.array(colour[:3]) if mode == "RGB" else over_white(np.array([[colour]])))).all()
    assert server.memory_mb("VmHWM") - before < MOST_EXTRA_MB
