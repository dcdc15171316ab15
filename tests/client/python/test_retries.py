"""What hmar_client tries again, against a server that fails as it is told."""
import concurrent.futures
import threading

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc


def refusal(code, reason, retry_seconds=None):
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason=reason, domain="hmar.v1"))
    if retry_seconds is not None:
        nanos = int(retry_seconds * 1e9)
        details[1].Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=nanos)))
    return rpc_status.to_status(status_pb2.Status(code=code, message="as told", details=details[:1 + (retry_seconds is not None)]))


def accepted(request):
    return pb.GenerateResponse(accepted=pb.Accepted(seed=request.seed, model="m"))


def image(index):
    picture = pb.Picture(data=bytes(3), format=pb.OutputOptions.FORMAT_RGB8, width=1, height=1)
    return pb.GenerateResponse(image=pb.Image(image_index=index, picture=picture))


COMPLETED = pb.GenerateResponse(completed=pb.Completed())


class ToldServer(image_generation_pb2_grpc.ImageGenerationServiceServicer):
    """Answers each call by the next of its scripts: events to send, then a status to end with, or None."""

    def __init__(self):
        self.scripts = []
        self.requests = []
        self.uploads = []

    def Generate(self, request, context):
        self.requests.append(request)
        self.uploads.append(dict(context.invocation_metadata()).get("x-hmar-upload"))
        events, status = self.scripts.pop(0)
        yield from events(request)
        if status is not None:
            context.abort_with_status(status)


@pytest.fixture
def told():
    service = ToldServer()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    image_generation_pb2_grpc.add_ImageGenerationServiceServicer_to_server(service, server)
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(None)


@pytest.fixture
def told_client(hmar_client, told):
    policy = hmar_client.RetryPolicy(seconds=1, first_wait=0.001)
    with hmar_client.Client(told.address, retry=policy) as client:
        yield client


def whole(request):
    yield accepted(request)
    yield from (image(index) for index in range(request.num_images))
    yield COMPLETED


def nothing(_):
    return ()


def test_what_is_full_is_asked_again(told, told_client):
    told.scripts = [(nothing, refusal(code_pb2.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.001)),
                    (nothing, refusal(code_pb2.UNAVAILABLE, "DRAINING")), (whole, None)]
    assert len(told_client.images("ship", n=2)) == 2
    assert told.requests[0] == told.requests[2] and told.requests[0].HasField("seed")


def test_what_has_come_does_not_come_twice(told, told_client, hmar_client):
    def half(request):
        yield accepted(request)
        yield image(1)

    told.scripts = [(half, refusal(code_pb2.UNAVAILABLE, "DEVICE_LOST")), (whole, None)]
    events = list(told_client.generate("ship", n=3))
    assert [event.image_index for event in events if isinstance(event, hmar_client.Image)] == [1, 0, 2]


@pytest.mark.parametrize("code", [code_pb2.INTERNAL, code_pb2.UNKNOWN, code_pb2.CANCELLED, code_pb2.UNAVAILABLE])
def test_an_answer_that_was_cut_off_goes_on_with_the_model_that_was_named(told, told_client, hmar_client, code):
    """What is left of a server that was killed: through a proxy INTERNAL or UNKNOWN, and no reason of the server's."""
    def half(request):
        yield accepted(request)
        yield image(0)

    told.scripts = [(half, rpc_status.to_status(status_pb2.Status(code=code))), (whole, None)]
    events = list(told_client.generate("ship", n=2))
    kinds = [hmar_client.Accepted, hmar_client.Image, hmar_client.Accepted, hmar_client.Image, hmar_client.Completed]
    assert [type(event) for event in events] == kinds
    assert [event.image_index for event in events if isinstance(event, hmar_client.Image)] == [0, 1]
    assert (told.requests[0].model, told.requests[1].model) == ("", "m")
    assert told.requests[0].seed == told.requests[1].seed


def test_a_client_that_was_closed_does_not_try_again(told, told_client, hmar_client):
    over = threading.Event()

    def hang(request):
        yield accepted(request)
        over.wait(60)

    told.scripts = [(hang, None)]
    events = told_client.generate("ship")
    assert isinstance(next(events), hmar_client.Accepted)
    told_client.close()
    with pytest.raises(hmar_client.Cancelled):
        next(events)
    over.set()
    assert len(told.requests) == 1


def test_an_edit_says_which_picture_it_is_of_and_nothing_else_does(told, told_client):
    told.scripts = [(whole, None)] * 2
    told_client.edit(b"abc", box=(0, 0, 8, 8))
    assert told.uploads == ["ba7816bf8f01cfea"]  # Of SHA-256's own example.
    told_client.images("ship")
    assert told.uploads == ["ba7816bf8f01cfea", None]


@pytest.mark.parametrize("code, reason", [(code_pb2.INVALID_ARGUMENT, "FIELD_CONFLICT"), (code_pb2.INTERNAL, "GENERATION_FAILED"),
                                          (code_pb2.DEADLINE_EXCEEDED, "DEADLINE_UNREACHABLE"),
                                          (code_pb2.UNAUTHENTICATED, "KEY_UNKNOWN")])
def test_what_waiting_does_not_cure_is_not_asked_again(told, told_client, hmar_client, code, reason):
    told.scripts = [(nothing, refusal(code, reason))]
    with pytest.raises(hmar_client.HmarError) as caught:
        told_client.images("ship")
    assert caught.value.reason == reason
    assert len(told.requests) == 1


def test_a_wait_beyond_the_budget_or_the_deadline_is_not_begun(told, told_client, hmar_client):
    long = refusal(code_pb2.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.95)
    told.scripts = [(nothing, long)] * 2
    with pytest.raises(hmar_client.Overloaded) as caught:
        told_client.images("ship", timeout=0.5)
    assert 0.9 < caught.value.retry_after < 1
    assert len(told.requests) == 1


@pytest.mark.parametrize("events", [lambda r: [accepted(r), image(7)], lambda r: [accepted(r), COMPLETED], lambda r: [accepted(r)],
                                    lambda r: [pb.GenerateResponse(accepted=pb.Accepted(seed=r.seed + 1))]],
                         ids=["an image too many", "an image too few", "no end", "another seed"])
def test_what_is_no_answer_is_an_error(told, told_client, hmar_client, events):
    told.scripts = [(events, None)]
    with pytest.raises(hmar_client.BadAnswer):
        told_client.images("ship")


def test_waits_double_up_to_a_limit_and_honour_the_server(hmar_client):
    from hmar_client.retry import Retries

    def failure(retry_after=None):
        return hmar_client.Unavailable(grpc.StatusCode.UNAVAILABLE, "", retry_after=retry_after)

    retries = Retries(hmar_client.RetryPolicy(seconds=8, first_wait=1, longest_wait=3, jitter=0))
    assert [retries.wait_after(failure()) for _ in range(4)] == [1, 2, 3, None]  # The fourth would make 9.
    assert retries.wait_after(failure(retry_after=1.5)) == 1.5
    spread = {Retries(hmar_client.RetryPolicy()).wait_after(failure(1)) for _ in range(20)}
    assert len(spread) > 1 and all(1 <= wait <= 1.2 for wait in spread)
    assert Retries(hmar_client.NO_RETRIES).wait_after(failure(0)) is None


def test_pictures_are_decoded_within_what_they_state(hmar_client):
    from hmar_client.pictures import picture_of

    ok = pb.Picture(data=bytes(12), format=pb.OutputOptions.FORMAT_RGB8, width=2, height=2)
    assert picture_of(ok).size == (2, 2)
    for wrong in (pb.Picture(data=bytes(12), format=pb.OutputOptions.FORMAT_RGB8, width=3, height=2), pb.Picture(),
                  pb.Picture(data=b"\x89PNG", format=pb.OutputOptions.FORMAT_PNG, width=1, height=1),
                  pb.Picture(data=bytes(12), format=pb.OutputOptions.FORMAT_RGB8, width=1 << 20, height=1)):
        with pytest.raises((ValueError, OSError)):
            picture_of(wrong)
