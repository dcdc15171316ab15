"""What a Generate stream holds, in which order, and that GenerateImages is the same work."""
import io
import json

import numpy as np
import pytest
from google.protobuf import json_format
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from requests_under_test import (FAST, FULL, IMAGE_SIZE, PATCH_NUMS, RGB8, images_of, one_pass, pixels, previews_of,
                                 request, tokens_of)

LAST = len(PATCH_NUMS) - 1


def kinds(events):
    return [event.WhichOneof("event") for event in events]


def test_a_stream_is_accepted_then_work_then_completed(stub):
    events = list(stub.Generate(request(num_images=3, previews=pb.PreviewOptions(mode=FAST))))
    assert kinds(events)[0] == "accepted" and kinds(events)[-1] == "completed"
    assert sorted(kinds(events)[1:-1]) == ["image"] * 3 + ["preview"] * 3 * LAST
    accepted, completed = events[0].accepted, events[-1].completed
    assert (accepted.model, accepted.seed) == ("hmar-cifar10", 7)
    assert accepted.request_id
    assert accepted.estimated_time.ToTimedelta().total_seconds() > 0 and accepted.estimated_gpu_seconds > 0
    assert completed.images == 3
    assert 0 <= completed.queued.ToTimedelta().total_seconds() <= completed.total.ToTimedelta().total_seconds()


@pytest.mark.parametrize("mode, side", [(FAST, IMAGE_SIZE), (FULL, IMAGE_SIZE)])
def test_each_image_gets_its_previews_in_scale_order_before_the_image(stub, mode, side):
    events = list(stub.Generate(request(num_images=2, previews=pb.PreviewOptions(mode=mode))))
    for index in range(2):
        mine = [event for event in events
                if event.WhichOneof("event") in ("preview", "image")
                and getattr(event, event.WhichOneof("event")).image_index == index]
        assert kinds(mine) == ["preview"] * LAST + ["image"]
        previews = previews_of(events, index)
        assert [preview.scale for preview in previews] == list(range(LAST))
        assert [preview.grid for preview in previews] == PATCH_NUMS[:LAST]
        assert {preview.num_scales for preview in previews} == {len(PATCH_NUMS)}
        assert {preview.dropped for preview in previews} == {0}
        for preview in previews:
            assert pixels(preview.picture).shape == (side, side, 3)


@pytest.mark.parametrize("mode", [FAST, FULL])
def test_the_last_scales_preview_shows_the_image(stub, mode):
    events = list(stub.Generate(request(previews=pb.PreviewOptions(mode=mode, scales=[0, LAST]))))
    first, last = (pixels(preview.picture).astype(float) for preview in previews_of(events))
    image = pixels(images_of(events)[0].picture).astype(float)
    if mode == FULL:
        assert np.array_equal(last, image)
    else:
        assert np.mean((last - image) ** 2) < 0.5 * np.mean((first - image) ** 2)


def test_only_the_scales_asked_for_leave_a_preview(stub):
    events = list(stub.Generate(request(previews=pb.PreviewOptions(mode=FAST, scales=[5, 2]))))
    assert [preview.scale for preview in previews_of(events)] == [2, 5]


def test_without_previews_there_are_none(stub):
    assert kinds(stub.Generate(request())) == ["accepted", "image", "completed"]


def test_image_i_has_seed_plus_i_modulo_2_to_the_64(stub):
    images = images_of(stub.Generate(request(seed=2**64 - 1, num_images=2)))
    assert [image.seed for image in images] == [2**64 - 1, 0]
    alone = images_of(stub.Generate(request(seed=0)))[0]
    assert images[1].picture.data == alone.picture.data


def test_a_seed_the_server_draws_is_told_and_makes_the_image_again(stub):
    drawn = list(stub.Generate(pb.GenerateRequest(class_name="cat")))
    other = list(stub.Generate(pb.GenerateRequest(class_name="cat")))
    assert drawn[0].accepted.seed != other[0].accepted.seed
    again = images_of(stub.Generate(request("cat", seed=drawn[0].accepted.seed)))[0]
    assert again.picture.data == images_of(drawn)[0].picture.data


def test_a_class_has_a_name_and_a_number(stub):
    by_name = images_of(stub.Generate(request("ship")))[0]
    by_id = images_of(stub.Generate(pb.GenerateRequest(class_id=8, seed=7)))[0]
    assert by_name.picture.data == by_id.picture.data


def test_no_class_is_unconditional(stub):
    assert images_of(stub.Generate(request(None)))[0].picture.data != images_of(stub.Generate(request()))[0].picture.data


def test_rgb8_is_the_decoded_png(stub):
    png = images_of(stub.Generate(request()))[0].picture
    rgb = images_of(stub.Generate(request(output=pb.OutputOptions(format=RGB8))))[0].picture
    assert png.format == pb.OutputOptions.FORMAT_PNG and rgb.format == RGB8
    assert len(rgb.data) == IMAGE_SIZE * IMAGE_SIZE * 3
    assert np.array_equal(pixels(png), pixels(rgb))


def test_png_compression_changes_the_size_and_not_the_picture(stub):
    stored, small = (images_of(stub.Generate(request(output=pb.OutputOptions(png_compression=level))))[0].picture
                     for level in (0, 9))
    assert len(stored.data) > len(small.data)
    assert np.array_equal(pixels(stored), pixels(small))


def test_tokens_come_when_asked_for(stub):
    assert not images_of(stub.Generate(request()))[0].tokens
    tokens = tokens_of(images_of(stub.Generate(request(output=pb.OutputOptions(return_tokens=True))))[0])
    assert [len(scale) for scale in tokens] == [side * side for side in PATCH_NUMS]
    assert all(0 <= token < 1024 for scale in tokens for token in scale)


def test_the_receipt_says_how_the_image_was_made(stub):
    events = list(stub.Generate(request(request_id="receipt-1", sampling=one_pass(cfg_scale=1.5))))
    image = images_of(events)[0]
    receipt = image.receipt
    assert (receipt.request_id, receipt.model, receipt.seed) == ("receipt-1", "hmar-cifar10", 7)
    assert receipt.model_digest == stub.GetModel(pb.GetModelRequest()).model.digest
    assert receipt.server_version
    assert receipt.sampling.cfg_scale == 1.5 and receipt.sampling.top_k == 600
    assert [list(scale.tokens) for scale in receipt.sampling.mask_schedule.scales] == [[s * s] for s in PATCH_NUMS]
    assert [scale.passes for scale in receipt.scales] == [1] * len(PATCH_NUMS)
    assert all(scale.device_seconds > 0 and scale.max_batch_images >= 1 for scale in receipt.scales)
    assert image.scales_run == len(PATCH_NUMS) and not image.degraded


def test_the_receipt_travels_in_the_png(stub):
    image = images_of(stub.Generate(request(output=pb.OutputOptions(receipt_in_png=True))))[0]
    text = Image.open(io.BytesIO(image.picture.data)).text
    assert json_format.Parse(text["hmar-receipt"], pb.Receipt()) == image.receipt
    assert json.loads(text["hmar-receipt"])["model_digest"]
    plain = images_of(stub.Generate(request()))[0]
    assert "hmar-receipt" not in Image.open(io.BytesIO(plain.picture.data)).text
    assert np.array_equal(pixels(plain.picture), pixels(image.picture))


def test_generate_images_is_generate_in_one_reply(stub):
    asked = request(num_images=3, request_id="unary", output=pb.OutputOptions(return_tokens=True))
    reply = stub.GenerateImages(pb.GenerateImagesRequest(request=asked))
    streamed = images_of(stub.Generate(asked))
    assert reply.accepted.request_id == "unary" and reply.completed.images == 3
    assert [image.image_index for image in reply.images] == [0, 1, 2]
    for mine, theirs in zip(reply.images, streamed, strict=True):
        assert mine.picture == theirs.picture and tokens_of(mine) == tokens_of(theirs)


def test_validate_only_prices_and_makes_nothing(server, stub):
    before = server.metric("hmar_images_total")
    events = list(stub.Generate(request(num_images=4, validate_only=True)))
    assert kinds(events) == ["accepted", "completed"]
    assert events[0].accepted.estimated_gpu_seconds > 0
    assert events[1].completed.images == 0
    one = next(iter(stub.Generate(request(validate_only=True)))).accepted.estimated_gpu_seconds
    assert events[0].accepted.estimated_gpu_seconds > 2 * one
    assert server.metric("hmar_images_total") == before


def test_a_request_id_of_the_servers_own_is_unique(stub):
    ids = {next(iter(stub.Generate(request(validate_only=True)))).accepted.request_id for _ in range(20)}
    assert len(ids) == 20 and "" not in ids
