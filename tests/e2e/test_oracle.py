"""Random requests to the real server against the reference itself, run beside it. Skipped where Python has no torch
(deploy/setup.sh --oracle brings it); tests/golden/ then stands in for it."""
import io
import random
import sys

import numpy as np
import pytest
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from stubs import REPO
from requests_under_test import IMAGE_SIZE, RGB8, pixels, tokens_of

pytest.importorskip("torch", exc_type=ImportError)
sys.path.insert(0, str(REPO / "tests" / "reference"))
import margins  # noqa: E402
import ref  # noqa: E402
import torch  # noqa: E402

REQUESTS = 20
EDITS = 16
# The server adds up in another order, so that a draw or a reopening closer than this may fall the other way.
NEAR_TIE = 3e-5
ALLOWED_TO_DIFFER = 1


@pytest.fixture(scope="module")
def reference(model_folder):
    return ref.Hmar(model_folder)


def closest_call(reference, r):
    """Runs a request. -> The decoder's pixels, and how close the closest of its decisions was to falling the other way."""
    with margins.watch(reference) as closest:
        f_hat = reference.generate([r])
    return reference.image(f_hat)[0].numpy().astype(int), closest.margin


def is_same(picture, wanted, got_tokens, r, closest):
    """Same tokens, and pixels within one. False: other tokens, which only a near tie excuses."""
    if got_tokens != [tokens.tolist() for tokens in r.tokens]:
        assert closest < NEAR_TIE, f"other tokens, and the closest decision was {closest} apart"
        return False
    assert np.abs(picture.astype(int) - wanted).max(initial=0) <= 1
    return True


def random_schedule(rng, n):
    """Positive numbers that sum to n."""
    cuts = sorted(rng.sample(range(1, n), min(n - 1, rng.choice([0, 0, 1, 2, 3]))))
    return [b - a for a, b in zip([0] + cuts, cuts + [n])]


def random_request(rng, reference):
    sides = reference.patch_nums
    sampling = {"cfg": rng.choice([0.0, 1.5, 2.0, 3.25]), "top_k": rng.choice([0, 1, 40, 600, 1024]),
                "top_p": rng.choice([0.25, 0.5, 0.9375, 1.0]), "temperature": rng.choice([0.5, 1.0, 1.25]),
                "mask_schedule": [random_schedule(rng, side * side) for side in sides]}
    class_id = rng.choice([None] + list(range(10)))
    return reference.request(class_id, rng.getrandbits(64), **sampling)


def message(r):
    scales = [pb.MaskSchedule.Scale(tokens=passes) for passes in r.mask_schedule]
    sampling = pb.SamplingParams(cfg_scale=r.cfg, top_k=r.top_k, top_p=r.top_p, temperature=r.temperature,
                                 mask_schedule=pb.MaskSchedule(scales=scales))
    target = {} if r.class_id is None else {"class_id": r.class_id}
    return pb.GenerateRequest(seed=r.seed, sampling=sampling, **target,
                              output=pb.OutputOptions(format=RGB8, return_tokens=True))


def test_random_requests_have_the_references_tokens_and_pixels(stub, reference):
    rng = random.Random(20261122)
    differ = 0
    for _ in range(REQUESTS):
        r = random_request(rng, reference)
        image = stub.GenerateImages(pb.GenerateImagesRequest(request=message(r))).images[0]
        wanted, closest = closest_call(reference, r)
        differ += not is_same(pixels(image.picture), wanted, tokens_of(image), r, closest)
    assert differ <= ALLOWED_TO_DIFFER


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def random_region(rng):
    """A field of EditOptions and the region it means: a box, the rest of a box, a blob, specks."""
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    x0, y0 = rng.randrange(IMAGE_SIZE), rng.randrange(IMAGE_SIZE)
    x1, y1 = rng.randrange(x0, IMAGE_SIZE) + 1, rng.randrange(y0, IMAGE_SIZE) + 1
    inside = (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
    box = pb.EditOptions.Box(x0=x0, y0=y0, x1=x1, y1=y1)
    kind = rng.choice(["box", "keep_box", "blob", "specks"])
    if kind == "box":
        return {"box": box}, inside
    if kind == "keep_box":
        return {"keep_box": box}, ~inside
    region = (x - x0) ** 2 + 2 * (y - y0) ** 2 < rng.randrange(4, 400)
    if kind == "specks":
        region = np.random.default_rng(rng.getrandbits(32)).random(region.shape) < rng.choice([0.01, 0.1, 0.4])
    return {"mask": png(region)}, region


def edited(reference, r, source, region):
    """Gives the request the reference's own view of the edit, and runs it, as closest_call."""
    P = reference.patch_nums[-1]
    cell = IMAGE_SIZE // P
    keep = ~torch.from_numpy(region).view(P, cell, P, cell).any(3).any(1)
    r.keep = ref.keep_maps(keep, reference.patch_nums)
    image = torch.from_numpy(source.copy()).permute(2, 0, 1)[None].float() / 255 * 2 - 1
    r.given = [tokens[0] for tokens in reference.tokenizer.encode(image)]
    return closest_call(reference, r)


def test_random_edits_have_the_references_tokens_and_the_uploads_pixels(stub, reference):
    rng = random.Random(5)
    differ = 0
    for _ in range(EDITS):
        r = random_request(rng, reference)
        source = reference.image(reference.generate([reference.request(rng.randrange(10), rng.getrandbits(32))]))[0].numpy()
        field, region = random_region(rng)
        call = message(r)
        call.edit.CopyFrom(pb.EditOptions(image=png(source), **field))
        image = stub.GenerateImages(pb.GenerateImagesRequest(request=call)).images[0]
        wanted, closest = edited(reference, r, source, region)
        assert np.array_equal(pixels(image.picture)[~region], source[~region])
        assert list(image.generated_tokens) == [not kept for kept in r.keep[-1].tolist()]
        differ += not is_same(pixels(image.picture)[region], wanted[region], tokens_of(image), r, closest)
    assert differ <= ALLOWED_TO_DIFFER
