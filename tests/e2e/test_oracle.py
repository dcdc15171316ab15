"""Random requests to the real server against the reference itself, run beside it. Skipped where Python has no torch
(deploy/setup.sh --oracle brings it); tests/golden/ then stands in for it."""
import random
import sys

import numpy as np
import pytest
from hmar.v1 import image_generation_pb2 as pb

from conftest import REPO
from requests_under_test import RGB8, pixels, tokens_of

pytest.importorskip("torch", exc_type=ImportError)
sys.path.insert(0, str(REPO / "tests" / "reference"))
import hmar_ref  # noqa: E402

REQUESTS = 20
# An fp32 near-tie may fall the other way: the server adds up in another order.
ALLOWED_TO_DIFFER = 1


@pytest.fixture(scope="module")
def reference(model_folder):
    return hmar_ref.Hmar(model_folder)


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
    differ = []
    for i in range(REQUESTS):
        r = random_request(rng, reference)
        image = stub.GenerateImages(pb.GenerateImagesRequest(request=message(r))).images[0]
        wanted = reference.image(reference.generate([r]))[0].numpy().astype(int)
        if tokens_of(image) != [tokens.tolist() for tokens in r.tokens]:
            differ.append(i)
            continue
        assert np.abs(pixels(image.picture).astype(int) - wanted).max() <= 1
    assert len(differ) <= ALLOWED_TO_DIFFER, f"requests {differ} have other tokens"
