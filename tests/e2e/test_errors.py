"""Bad input: INVALID_ARGUMENT that names the field, nothing enqueued, the server unharmed."""
import io
import math

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from requests_under_test import FAST, PATCH_NUMS, RGB8, error_of, images_of, request

TOKENS = [side * side for side in PATCH_NUMS]


def schedule(scales):
    return {"sampling": pb.SamplingParams(
        mask_schedule=pb.MaskSchedule(scales=[pb.MaskSchedule.Scale(tokens=tokens) for tokens in scales]))}


def sampling(**values):
    return {"sampling": pb.SamplingParams(**values)}


def prefix(*scales):
    return {"prefix": pb.ScalePrefix(tokens=[pb.ScaleTokens(tokens=tokens) for tokens in scales])}


def one_pixel_png():
    out = io.BytesIO()
    Image.new("RGB", (1, 1)).save(out, "PNG")
    return out.getvalue()


def output(**values):
    return {"output": pb.OutputOptions(**values)}


def previews(**values):
    return {"previews": pb.PreviewOptions(**values)}


# (field, reason, what is wrong)
BAD_FIELDS = [
    ("class_id", "UNKNOWN_CLASS", {"class_name": None, "class_id": 10}),
    ("class_id", "UNKNOWN_CLASS", {"class_name": None, "class_id": 2**32 - 1}),
    ("class_name", "UNKNOWN_CLASS", {"class_name": "shp"}),
    ("num_images", "FIELD_OUT_OF_RANGE", {"num_images": 100_000}),
    ("num_images", "FIELD_OUT_OF_RANGE", {"num_images": 2**32 - 1}),
    *[("sampling.cfg_scale", "SAMPLING_INVALID", sampling(cfg_scale=v)) for v in (-1, math.nan, math.inf, 3e38)],
    *[("sampling.top_k", "SAMPLING_INVALID", sampling(top_k=v)) for v in (1025, 2**32 - 1)],
    *[("sampling.top_p", "SAMPLING_INVALID", sampling(top_p=v)) for v in (0, -0.5, 1.5, math.nan, math.inf)],
    *[("sampling.temperature", "SAMPLING_INVALID", sampling(temperature=v))
      for v in (0, -1, 1e-30, math.nan, math.inf)],
    ("sampling.mask_schedule.scales[2].tokens", "SAMPLING_INVALID",
     schedule([[n] if n != 9 else [1, 2, 5] for n in TOKENS])),
    ("sampling.mask_schedule.scales[3].tokens[1]", "SAMPLING_INVALID",
     schedule([[n] if n != 16 else [16, 0] for n in TOKENS])),
    ("sampling.mask_schedule.scales[6].tokens", "SAMPLING_INVALID",
     schedule([[n] if n != 64 else [2**32 - 1, 65] for n in TOKENS])),  # 64, were it summed in 32 bits.
    ("sampling.mask_schedule.scales[0].tokens", "SAMPLING_INVALID", schedule([[]] + [[n] for n in TOKENS[1:]])),
    ("sampling.mask_schedule.scales", "SAMPLING_INVALID", schedule([[n] for n in TOKENS[:-1]])),
    ("sampling.mask_schedule.scales", "SAMPLING_INVALID", schedule([[n] for n in TOKENS] + [[64]])),
    ("sampling.mask_schedule", "FIELD_CONFLICT", sampling(mask_schedule=pb.MaskSchedule(
        preset=pb.MaskSchedule.PRESET_NONE, scales=[pb.MaskSchedule.Scale(tokens=[n]) for n in TOKENS]))),
    ("sampling.mask_schedule.preset", "UNKNOWN_ENUM_VALUE", sampling(mask_schedule=pb.MaskSchedule(preset=99))),
    ("previews.mode", "UNKNOWN_ENUM_VALUE", previews(mode=9)),
    ("previews.scales[0]", "FIELD_OUT_OF_RANGE", previews(mode=FAST, scales=[7])),
    ("previews.scales[1]", "FIELD_OUT_OF_RANGE", previews(mode=FAST, scales=[0, 2**32 - 1])),
    ("previews.scales[1]", "FIELD_CONFLICT", previews(mode=FAST, scales=[2, 2])),
    ("previews.scales", "FIELD_CONFLICT", previews(scales=[2])),
    ("output.format", "UNKNOWN_ENUM_VALUE", output(format=7)),
    ("output.png_compression", "FIELD_OUT_OF_RANGE", output(png_compression=10)),
    ("output.receipt_in_png", "FIELD_CONFLICT", output(format=RGB8, receipt_in_png=True)),
    ("output.receipt_in_png", "FIELD_CONFLICT", output(format=pb.OutputOptions.FORMAT_WEBP, receipt_in_png=True)),
    ("output.embed_receipt", "FIELD_CONFLICT", output(format=RGB8, embed_receipt=True)),
    *[("output.quality", "FIELD_OUT_OF_RANGE", output(format=pb.OutputOptions.FORMAT_JPEG, quality=q)) for q in (0, 101, 2**32 - 1)],
    ("output.quality", "FIELD_CONFLICT", output(quality=80)),
    ("output.quality", "FIELD_CONFLICT", output(format=pb.OutputOptions.FORMAT_WEBP, lossless=True, quality=80)),
    ("output.lossless", "FIELD_CONFLICT", output(format=pb.OutputOptions.FORMAT_JPEG, lossless=True)),
    ("edit.feather", "FIELD_OUT_OF_RANGE", {"edit": pb.EditOptions(
        image=one_pixel_png(), resize=pb.EditOptions.RESIZE_CONTAIN, feather=33)}),
    ("prefix.tokens", "PREFIX_INVALID", prefix(*([0] * n for n in [*TOKENS, 100]))),
    ("prefix.tokens[1].tokens", "PREFIX_INVALID", prefix([0], [0, 0, 0])),
    ("prefix.tokens[1].tokens[2]", "PREFIX_INVALID", prefix([0], [0, 0, 1024, 0])),
    *[("scheduling.priority", "FIELD_OUT_OF_RANGE", {"scheduling": pb.Scheduling(priority=v)}) for v in (11, -11, 2**31 - 1, -2**31)],
    ("scheduling.on_deadline", "UNKNOWN_ENUM_VALUE", {"scheduling": pb.Scheduling(on_deadline=9)}),
    ("request_id", "REQUEST_ID_INVALID", {"request_id": "x" * 500}),
    ("request_id", "REQUEST_ID_INVALID", {"request_id": "two\nlines"}),
    *[("request_id", "REQUEST_ID_INVALID", {"request_id": f"a{c}b"})
      for c in ("\u202e", "\u2028", "\u200b", "\ufeff", "\u00ad", "\ue000", "\ufdd0", "\U000e0041")],
    ("previews.scales", "FIELD_OUT_OF_RANGE", previews(mode=FAST, scales=[127] * 100_000)),
    ("prefix.tokens[0].tokens", "PREFIX_INVALID", prefix([2**32 - 1] * 100_000)),
    ("sampling.mask_schedule.scales", "SAMPLING_INVALID", schedule([[]] * 100_000)),
    ("sampling.mask_schedule.scales[6].tokens", "SAMPLING_INVALID",
     schedule([[n] if n != 64 else [0] * 100_000 for n in TOKENS])),
]


@pytest.mark.parametrize("field, reason, wrong", BAD_FIELDS,
                         ids=[f"{i}-{field}" for i, (field, _, _) in enumerate(BAD_FIELDS)])
@pytest.mark.parametrize("unary", [False, True], ids=["stream", "unary"])
def test_a_bad_field_is_named_and_nothing_is_made(server, stub, field, reason, wrong, unary):
    if unary and field.startswith("previews"):
        pytest.skip("a unary reply has no previews at all")
    images = server.metric("hmar_images_total")
    bad = request(**wrong)
    error = error_of(lambda: stub.GenerateImages(pb.GenerateImagesRequest(request=bad)) if unary else stub.Generate(bad))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert set(error.fields) == {("request." if unary else "") + field}
    assert error.info.reason == reason
    assert error.bad_request.field_violations[0].description
    assert server.metric("hmar_images_total") == images
    assert server.metric("hmar_queue_images") == 0


def test_every_bad_field_is_reported_at_once(stub):
    error = error_of(lambda: stub.Generate(request(
        num_images=100_000, sampling=pb.SamplingParams(top_p=2, temperature=-1), request_id="x" * 500)))
    assert sorted(error.fields) == ["num_images", "request_id", "sampling.temperature", "sampling.top_p"]


def test_descriptions_give_the_value_and_the_limit(stub):
    error = error_of(lambda: stub.Generate(request(sampling=pb.SamplingParams(top_p=1.5))))
    description = error.bad_request.field_violations[0].description
    assert "1.5" in description and "1" in description.replace("1.5", "")
    assert "1.5" in error.message


def test_a_unary_reply_has_no_previews(stub):
    error = error_of(lambda: stub.GenerateImages(
        pb.GenerateImagesRequest(request=request(previews=pb.PreviewOptions(mode=FAST)))))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.fields == ["request.previews.mode"]


def test_an_empty_unary_request_lacks_its_request(stub):
    error = error_of(lambda: stub.GenerateImages(pb.GenerateImagesRequest()))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT and error.fields == ["request"]


def test_an_unknown_model_is_not_found_by_name(stub):
    for call in (lambda: stub.Generate(request(model="d99")),
                 lambda: stub.GetModel(pb.GetModelRequest(name="d99"))):
        error = error_of(call)
        assert error.code == grpc.StatusCode.NOT_FOUND
        assert error.info.reason == "MODEL_NOT_FOUND"
        assert error.resource_info.resource_name == "d99"
        assert "hmar-cifar10" in error.message


def test_a_deadline_that_passes_is_deadline_exceeded_and_frees_the_batch(server, stub):
    with pytest.raises(grpc.RpcError) as error:
        list(stub.Generate(request(num_images=16), timeout=0.05))
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    server.wait_until_idle()


@pytest.mark.parametrize("method", ["Generate", "GenerateImages", "ListModels", "GetModel"])
@pytest.mark.parametrize("damaged", [b"\xff\xff\xff\xff not a message", b"\x0a", b"\x0a\x01\xff", b"\x0b\x0c"])
def test_bytes_that_are_no_message_are_refused(server, stub, method, damaged):
    call = server.channel().unary_unary(f"/hmar.v1.ImageGenerationService/{method}")
    if damaged == b"\x0a\x01\xff" and method == "ListModels":
        pytest.skip("an unknown field may hold any bytes")
    error = error_of(lambda: call(damaged))
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert error.info.reason == "MESSAGE_INVALID" and len(error.fields) == 1
    assert images_of(stub.Generate(request()))


def test_what_cannot_be_read_is_counted(server):
    def refused():
        return server.metric("hmar_requests_total", code="INVALID_ARGUMENT")
    before = refused()
    error_of(lambda: server.channel().unary_unary("/hmar.v1.ImageGenerationService/Generate")(b"\x0a"))
    server.wait_for_metric(lambda count: count == before + 1, "hmar_requests_total", code="INVALID_ARGUMENT")


def test_an_unknown_method_is_unimplemented(server):
    with pytest.raises(grpc.RpcError) as error:
        server.channel().unary_unary("/hmar.v1.ImageGenerationService/Draw")(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_after_all_that_the_server_still_serves(stub):
    assert len(images_of(stub.Generate(request()))) == 1
