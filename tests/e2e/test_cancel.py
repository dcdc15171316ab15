"""Clients that leave: their images leave the batch."""
import signal
import subprocess

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import FULL, images_of, request

MANY = 32  # Images: seconds of work on any CPU.


def cancelled_images(server):
    return server.metric("hmar_images_total", outcome="cancelled")


@pytest.fixture
def cancelled_before(server):
    server.wait_until_idle()
    return cancelled_images(server)


def test_a_cancelled_call_frees_its_images(server, stub, cancelled_before):
    call = stub.Generate(request(num_images=MANY, previews=pb.PreviewOptions(mode=FULL)))
    while next(call).WhichOneof("event") != "preview":
        pass
    call.cancel()
    server.wait_until_idle()
    assert cancelled_images(server) > cancelled_before
    server.wait_for_metric(lambda count: count > 0, "hmar_cancel_release_seconds_count")


def test_a_cancelled_unary_call_frees_its_images(server, stub, cancelled_before):
    call = stub.GenerateImages.future(pb.GenerateImagesRequest(request=request(num_images=MANY)))
    server.wait_for_metric(lambda images: images > 0, "hmar_running_images")
    call.cancel()
    server.wait_until_idle()
    assert cancelled_images(server) > cancelled_before


def test_a_client_that_is_killed_frees_its_images(server, hmar, tmp_path, cancelled_before):
    client = subprocess.Popen([hmar, "generate", "--server", server.address, "--class", "cat", "--count", str(MANY),
                               "--previews", "full", "--out", tmp_path], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    assert client.stderr.readline().startswith("request ")
    server.wait_for_metric(lambda images: images > 0, "hmar_running_images")
    client.send_signal(signal.SIGKILL)
    client.communicate()
    server.wait_until_idle()
    assert cancelled_images(server) > cancelled_before


def test_others_are_unharmed_when_one_leaves(server, stub):
    alone = images_of(stub.Generate(request()))[0].picture.data
    leaving = stub.Generate(request("cat", num_images=MANY))
    next(leaving)
    staying = stub.Generate(request())
    next(staying)
    leaving.cancel()
    assert images_of(staying)[0].picture.data == alone
    server.wait_until_idle()
    with pytest.raises(grpc.RpcError):
        list(leaving)


def test_a_deadline_is_no_cancel(server):
    ended = {outcome: server.metric("hmar_images_total", outcome=outcome) for outcome in ("expired", "cancelled")}
    with pytest.raises(grpc.RpcError) as error:
        list(server.stub().Generate(request(num_images=64), timeout=0.3))
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    server.wait_for_metric(lambda count: count > ended["expired"], "hmar_images_total", outcome="expired")
    assert server.metric("hmar_images_total", outcome="cancelled") == ended["cancelled"]
