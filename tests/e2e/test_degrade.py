"""ON_DEADLINE_DEGRADE and drafts: what ends early says how, and that makes it again."""
import concurrent.futures

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import FULL, PATCH_NUMS, images_of, previews_of, request, tokens_of

WITH_TOKENS = pb.OutputOptions(return_tokens=True)
DEGRADE = pb.Scheduling(on_deadline=pb.Scheduling.ON_DEADLINE_DEGRADE)
ALL = len(PATCH_NUMS)


def degraded_images(stub, one, timeout):
    """What a crowd of calls with this timeout comes to: its degraded images."""
    def call(seed):
        one_of_all = pb.GenerateRequest()
        one_of_all.CopyFrom(one)
        one_of_all.seed = seed
        try:
            return images_of(stub.Generate(one_of_all, timeout=timeout))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            return []
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return [image for images in pool.map(call, range(32)) for image in images if image.degraded]


@pytest.fixture(scope="module")
def degraded(server):
    """How long a crowd takes depends on the machine: the first timeout that is too short for whole images and long
    enough for some of each."""
    for attempt in range(12):
        images = degraded_images(server.stub(), request("ship", output=WITH_TOKENS, scheduling=DEGRADE), 0.15 * 1.5**attempt)
        if images:
            return images
    pytest.fail("no image was degraded")


def test_a_degraded_image_says_what_it_is(degraded):
    for image in degraded:
        receipt = image.receipt
        assert receipt.degraded and 1 <= image.scales_run <= ALL
        assert [len(tokens) for tokens in tokens_of(image)] == [p * p for p in PATCH_NUMS[:image.scales_run]]
        assert receipt.sampling.max_scales == (image.scales_run if image.scales_run < ALL else 0)
        assert [scale.passes for scale in receipt.scales] == [
            len(scale.tokens) for scale in receipt.sampling.mask_schedule.scales[:image.scales_run]]
        assert not receipt.request.HasField("scheduling") and receipt.request.sampling == receipt.sampling


def test_its_receipt_makes_it_again(stub, degraded):
    kinds = {image.receipt.request.sampling.SerializeToString(): image for image in degraded}
    for image in list(kinds.values())[:4]:
        again, = images_of(stub.Generate(image.receipt.request))
        assert again.picture.data == image.picture.data and tokens_of(again) == tokens_of(image)
        assert not again.degraded and again.scales_run == image.scales_run


def test_a_draft_is_the_preview_of_its_last_scale_and_can_be_finished(stub):
    whole = request("cat", seed=3, output=WITH_TOKENS, previews=pb.PreviewOptions(mode=FULL))
    events = list(stub.Generate(whole))
    image, = images_of(events)
    previews = {preview.scale: preview.picture.data for preview in previews_of(events)}
    for scales in (1, 4):
        draft_of = request("cat", seed=3, output=WITH_TOKENS, sampling=pb.SamplingParams(max_scales=scales))
        draft, = images_of(stub.Generate(draft_of))
        assert draft.picture.data == previews[scales - 1]
        assert draft.scales_run == scales and not draft.degraded
        rest = request("cat", seed=3, output=WITH_TOKENS, prefix=pb.ScalePrefix(tokens=draft.tokens))
        finished, = images_of(stub.Generate(rest))
        assert finished.picture.data == image.picture.data
