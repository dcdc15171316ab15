"""Same model, request and seed give the same bytes, whatever else is in the batch; and the bytes of the reference."""
import concurrent.futures
import io
import json

import numpy as np
import pytest
from google.protobuf import json_format
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from stubs import REPO
from requests_under_test import FAST, FULL, RGB8, images_of, one_pass, pixels, request, tokens_of

GOLDENS = json.loads((REPO / "tests" / "golden" / "hmar-cifar10.json").read_text())
WITH_TOKENS = pb.OutputOptions(return_tokens=True)


def requests_of_a_crowd():
    """Requests that differ in all that could change a batch: classes, guidance, passes, previews, counts."""
    quality = pb.SamplingParams(mask_schedule=pb.MaskSchedule(preset=pb.MaskSchedule.PRESET_QUALITY))
    return [
        request("ship", output=WITH_TOKENS),
        request("cat", seed=8, num_images=3, output=WITH_TOKENS),
        request(None, seed=9, output=WITH_TOKENS),
        request("frog", seed=10, sampling=one_pass(cfg_scale=0), output=WITH_TOKENS),
        request("dog", seed=11, sampling=quality, output=WITH_TOKENS),
        request("bird", seed=12, sampling=pb.SamplingParams(top_k=1), output=WITH_TOKENS),
        request("deer", seed=13, previews=pb.PreviewOptions(mode=FAST), output=WITH_TOKENS),
        request("truck", seed=14, previews=pb.PreviewOptions(mode=FULL), output=WITH_TOKENS),
    ]


def substance(events):
    """What must not change: pictures, tokens, previews."""
    events = list(events)
    previews = sorted((event.preview.image_index, event.preview.scale, event.preview.picture.data)
                      for event in events if event.WhichOneof("event") == "preview")
    return previews, [(image.seed, image.picture.data, tokens_of(image)) for image in images_of(events)]


def test_alone_and_in_a_crowd(stub):
    crowd = requests_of_a_crowd()
    alone = [substance(stub.Generate(one)) for one in crowd]
    with concurrent.futures.ThreadPoolExecutor(3 * len(crowd)) as pool:
        together = list(pool.map(lambda one: substance(stub.Generate(one)), crowd * 3))
    for i, result in enumerate(together):
        assert result == alone[i % len(crowd)], f"request {i % len(crowd)} changed in company"


def test_a_crowd_shares_steps(stub):
    images = images_of(stub.Generate(request(num_images=8)))
    assert max(scale.max_batch_images for image in images for scale in image.receipt.scales) > 1


def test_other_seeds_make_other_images(stub):
    pictures = {image.picture.data for image in images_of(stub.Generate(request(num_images=8)))}
    assert len(pictures) == 8


def sampling_of(golden):
    schedule = pb.MaskSchedule(scales=[pb.MaskSchedule.Scale(tokens=tokens) for tokens in golden["mask_schedule"]])
    return pb.SamplingParams(cfg_scale=golden["cfg"], top_k=golden["top_k"], top_p=golden["top_p"],
                             temperature=golden["temperature"], mask_schedule=schedule)


def golden_pixels(name):
    array = GOLDENS["arrays"][name]
    data = np.fromfile(REPO / "tests" / "golden" / "hmar-cifar10.bin", np.float32,
                       count=int(np.prod(array["shape"])), offset=array["offset"])
    return data.reshape(array["shape"])


def png(array):
    out = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def edit_of(golden):
    """The golden's edit, if it is one: its source and its region as a mask."""
    if "source" not in golden:
        return {}
    mask = np.array([int(digit) * 255 for digit in golden["region"]]).reshape(32, 32)
    return {"edit": pb.EditOptions(image=png(golden_pixels(golden["source"])), mask=png(mask), composite=False)}


@pytest.mark.parametrize("index", range(len(GOLDENS["images"])))
def test_whole_images_are_the_references_token_for_token(stub, index):
    golden = GOLDENS["images"][index]
    target = {} if golden["class_id"] is None else {"class_id": golden["class_id"]}
    prefix = pb.ScalePrefix(tokens=[pb.ScaleTokens(tokens=tokens) for tokens in golden["prefix"]])
    image = images_of(stub.Generate(pb.GenerateRequest(
        **target, **edit_of(golden), seed=golden["seed"], sampling=sampling_of(golden), prefix=prefix,
        output=pb.OutputOptions(format=RGB8, return_tokens=True))))[0]
    assert tokens_of(image) == golden["tokens"]
    if f"rgb_{index}" in GOLDENS["arrays"]:
        assert np.abs(pixels(image.picture) - golden_pixels(f"rgb_{index}")).max() <= 1
    else:
        assert abs(int(pixels(image.picture).astype(int).sum()) - golden["rgb_sum"]) <= image.picture.width**2 * 3 / 100


def test_a_prefix_of_its_own_scales_continues_to_the_same_bytes(stub):
    whole = images_of(stub.Generate(request(output=WITH_TOKENS)))[0]
    for scales in range(1, 8):
        prefix = pb.ScalePrefix(tokens=whole.tokens[:scales])
        continued = images_of(stub.Generate(request(output=WITH_TOKENS, prefix=prefix)))[0]
        assert continued.picture.data == whole.picture.data
        assert tokens_of(continued) == tokens_of(whole)


def made_again(stub, receipt):
    """The image of a receipt, from what the receipt alone says; as JSON, the way it stands in a PNG."""
    read = json_format.Parse(json_format.MessageToJson(receipt), pb.Receipt())
    image, = images_of(stub.Generate(read.request))
    assert image.receipt.model_digest == receipt.model_digest and image.receipt.precision == receipt.precision == "fp32"
    return image


@pytest.mark.parametrize("name", ["class", "none", "sampling", "rgb8", "jpeg", "webp", "lossless"])
def test_a_receipt_alone_makes_its_image_again(stub, name):
    asked = {
        "class": request("cat", seed=8, num_images=3, previews=pb.PreviewOptions(mode=FAST)),
        "none": request(None, seed=9, num_images=2, output=pb.OutputOptions(png_compression=9)),
        "sampling": request("frog", seed=2**64 - 1, num_images=2, sampling=pb.SamplingParams(
            cfg_scale=1.1, top_k=50, top_p=0.9, temperature=1.3,
            mask_schedule=pb.MaskSchedule(preset=pb.MaskSchedule.PRESET_QUALITY))),
        "rgb8": request("dog", output=pb.OutputOptions(format=RGB8)),
        "jpeg": request("dog", output=pb.OutputOptions(format=pb.OutputOptions.FORMAT_JPEG, quality=70)),
        "webp": request("dog", output=pb.OutputOptions(format=pb.OutputOptions.FORMAT_WEBP)),
        "lossless": request("dog", output=pb.OutputOptions(format=pb.OutputOptions.FORMAT_WEBP, lossless=True)),
    }[name]
    for image in images_of(stub.Generate(asked)):
        assert made_again(stub, image.receipt).picture == image.picture


def test_a_receipt_alone_makes_a_branch_again(stub):
    whole = images_of(stub.Generate(request(output=WITH_TOKENS)))[0]
    for scales in (1, 4, 7):
        asked = request("cat", seed=1234, num_images=2, prefix=pb.ScalePrefix(tokens=whole.tokens[:scales]))
        for image in images_of(stub.Generate(asked)):
            assert made_again(stub, image.receipt).picture == image.picture


def test_a_receipt_in_a_png_makes_its_picture_again(stub):
    image = images_of(stub.Generate(request(output=pb.OutputOptions(receipt_in_png=True))))[0]
    text = Image.open(io.BytesIO(image.picture.data)).text["hmar-receipt"]
    again = images_of(stub.Generate(json_format.Parse(text, pb.Receipt()).request))[0]
    assert np.array_equal(pixels(again.picture), pixels(image.picture))


def test_other_seeds_branch_off_the_same_prefix(stub):
    whole = images_of(stub.Generate(request(output=WITH_TOKENS)))[0]
    prefix = pb.ScalePrefix(tokens=whole.tokens[:4])
    branch = images_of(stub.Generate(request(seed=1234, output=WITH_TOKENS, prefix=prefix)))[0]
    assert tokens_of(branch)[:4] == tokens_of(whole)[:4]
    assert tokens_of(branch)[4:] != tokens_of(whole)[4:]
