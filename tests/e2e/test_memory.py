"""No growth, in small; tests/soak.sh is the long version."""
import random

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import FAST, RGB8, one_pass, request

WARM_UP, MEASURED = 60, 200
GROWTH_LIMIT_MB = 16  # Heap noise; 200 leaked pictures, tokens and previews of this model would be several times that.
PEAK_LIMIT_MB = 600


def serve(stub, rng, count):
    for i in range(count):
        call = stub.Generate(request(
            seed=rng.getrandbits(64), num_images=rng.randint(1, 4), sampling=one_pass(top_k=rng.choice([0, 1, 600])),
            previews=pb.PreviewOptions(mode=rng.choice([0, FAST])),
            output=pb.OutputOptions(format=rng.choice([0, RGB8]), return_tokens=bool(i % 2), receipt_in_png=False)))
        if i % 5 == 0:
            next(call)
            call.cancel()
            with pytest.raises(grpc.RpcError):
                list(call)
        else:
            assert list(call)[-1].WhichOneof("event") == "completed"


def test_memory_does_not_grow_with_requests(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    rng = random.Random(1)
    serve(server.stub(), rng, WARM_UP)
    before = server.memory_mb("VmRSS")
    serve(server.stub(), rng, MEASURED)
    grown = server.memory_mb("VmRSS") - before
    assert grown < GROWTH_LIMIT_MB, f"{before:.0f} MB grew by {grown:.1f} MB over {MEASURED} requests"
    assert server.memory_mb("VmHWM") < PEAK_LIMIT_MB
