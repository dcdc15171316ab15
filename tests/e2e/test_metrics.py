"""The scrape, as Prometheus would read it."""
import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from requests_under_test import FAST, PATCH_NUMS, request

# Family (as the parser names it): the labels its samples have, "le" aside.
FAMILIES = {
    "hmar_requests": {"model", "code"},
    "hmar_images": {"model", "outcome"},
    "hmar_previews": {"model", "mode", "outcome"},
    "hmar_request_duration_seconds": {"model"},
    "hmar_queue_duration_seconds": {"model"},
    "hmar_time_to_first_preview_seconds": {"model"},
    "hmar_step_duration_seconds": {"model", "device"},
    "hmar_step_tokens": {"model", "device"},
    "hmar_step_images": {"model", "device"},
    "hmar_scale_device_seconds": {"model", "device", "scale"},
    "hmar_decode_duration_seconds": {"model", "device"},
    "hmar_encode_duration_seconds": set(),
    "hmar_cancel_release_seconds": {"model"},
    "hmar_upload_read_duration_seconds": set(),
    "hmar_upload_encode_duration_seconds": {"model", "device"},
    "hmar_upload_lookups": {"model", "outcome"},
    "hmar_estimate_ratio": {"model"},
    "hmar_ready": set(),
    "hmar_waiting_clients": set(),
    "hmar_open_calls": set(),
    "hmar_buffer_bytes": {"buffer"},
    "hmar_buffer_limit_bytes": {"buffer"},
    "hmar_device_memory_bytes": {"device", "kind"},
    "hmar_queue_images": {"model"},
    "hmar_running_images": {"model", "device"},
    "hmar_device_busy_seconds": {"device"},
    "hmar_admission_rejected": {"reason"},
    "hmar_log_lines_lost": {"log"},
    "hmar_connections": set(),
    "hmar_connections_refused": {"reason"},
    "hmar_model_info": {"model", "digest", "precision"},
    "hmar_build_info": {"version"},
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds": set(),
    "process_start_time_seconds": set(),
    "process_open_fds": set(),
}


@pytest.fixture(scope="module")
def families(server):
    list(server.stub().Generate(request(previews=pb.PreviewOptions(mode=FAST))))
    server.wait_until_idle()
    return {family.name: family for family in text_string_to_metric_families(server.metrics_text())}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_there_with_its_labels(families, name):
    assert name in families, sorted(families)
    family = families[name]
    assert family.samples and family.documentation
    for sample in family.samples:
        assert set(sample.labels) - {"le"} == FAMILIES[name]


def test_there_are_no_families_besides(families):
    assert {name for name in families if name.startswith("hmar_")} <= set(FAMILIES)


def test_a_request_moves_the_counters_it_should(server, stub):
    watched = {
        "hmar_requests_total": {"model": "hmar-cifar10", "code": "OK"},
        "hmar_images_total": {"model": "hmar-cifar10", "outcome": "done"},
        "hmar_previews_total": {"model": "hmar-cifar10", "mode": "fast", "outcome": "sent"},
        "hmar_request_duration_seconds_count": {"model": "hmar-cifar10"},
        "hmar_estimate_ratio_count": {"model": "hmar-cifar10"},
        "hmar_queue_duration_seconds_count": {"model": "hmar-cifar10"},
        "hmar_time_to_first_preview_seconds_count": {"model": "hmar-cifar10"},
    }
    before = {name: server.metric(name, **labels) for name, labels in watched.items()}
    list(stub.Generate(request(num_images=2, previews=pb.PreviewOptions(mode=FAST))))
    server.wait_for_metric(lambda count: count == before["hmar_requests_total"] + 1, "hmar_requests_total",
                           **watched["hmar_requests_total"])
    grown = {name: server.metric(name, **labels) - before[name] for name, labels in watched.items()}
    assert grown == {"hmar_requests_total": 1, "hmar_images_total": 2,
                     "hmar_previews_total": 2 * (len(PATCH_NUMS) - 1), "hmar_request_duration_seconds_count": 1,
                     "hmar_estimate_ratio_count": 1,
                     "hmar_queue_duration_seconds_count": 2, "hmar_time_to_first_preview_seconds_count": 1}


def test_device_time_is_busy_time(server, stub):
    busy = server.metric("hmar_device_busy_seconds_total", device="cpu")
    scales = server.metric("hmar_scale_device_seconds_total", device="cpu")
    list(stub.Generate(request()))
    server.wait_until_idle()
    busy = server.metric("hmar_device_busy_seconds_total", device="cpu") - busy
    scales = server.metric("hmar_scale_device_seconds_total", device="cpu") - scales
    assert 0 < scales <= busy * 1.001


def test_model_info_names_the_digest(server, stub):
    digest = stub.GetModel(pb.GetModelRequest()).model.digest
    assert server.metric("hmar_model_info", model="hmar-cifar10", digest=digest, precision="fp32") == 1


def test_buffers_are_read_with_their_limits(start_server):
    server = start_server("--delivery-buffer-bytes=134217728", "--encoder-buffer-bytes=100000000", "--upload-buffer-bytes=90000000")
    server.wait_until_ready()
    assert server.metric("hmar_ready") == 1
    limits = {"delivery": 134217728, "encoder": 100000000, "upload": 90000000}
    assert {name: server.metric("hmar_buffer_limit_bytes", buffer=name) for name in limits} == limits
    assert server.metric("hmar_buffer_bytes") == 0
    # Each of 64 pictures is 3 kB or more, and this client reads none of them. (A window of 64 kB, which does not grow.)
    with grpc.insecure_channel(server.address, options=[("grpc.http2.bdp_probe", 0)]) as channel:
        stub = image_generation_pb2_grpc.ImageGenerationServiceStub(channel)
        call = stub.Generate(request(num_images=64, output=pb.OutputOptions(format=pb.OutputOptions.FORMAT_RGB8)))
        server.wait_for_metric(lambda held: held >= 3 * 32 * 32, "hmar_buffer_bytes", buffer="delivery")
        call.cancel()
    server.wait_for_metric(lambda held: held == 0, "hmar_buffer_bytes", buffer="delivery")
    assert server.metric("hmar_waiting_clients") == 0


def test_memory_of_the_cpu_is_its_weights_and_slots(server, stub):
    parameters = stub.GetModel(pb.GetModelRequest()).model.parameters
    weights = server.metric("hmar_device_memory_bytes", device="cpu", kind="weights")
    assert 4 * parameters < weights < 1.1 * 4 * parameters
    assert server.metric("hmar_device_memory_bytes", device="cpu", kind="slots") > 0
