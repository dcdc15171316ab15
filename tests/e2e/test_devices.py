"""Several devices, and one that is lost: the real program with a fake libhmar_cuda.so, where an installed one would lie."""
import signal
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import error_of
from server_process import GENEROUS_SECONDS, READINESS

def small_request(**fields):
    return pb.GenerateRequest(class_id=1, seed=5, output=pb.OutputOptions(format=pb.OutputOptions.FORMAT_RGB8), **fields)


def test_every_device_holds_the_model_runs_images_and_is_counted(start_on_gpus):
    server = start_on_gpus("--precision=fp8")
    server.wait_until_ready()
    model = server.stub().GetModel(pb.GetModelRequest()).model
    assert (list(model.devices), model.precision) == (["cuda:0", "cuda:2"], "fp8")
    events = list(server.stub().Generate(small_request(num_images=16)))
    assert sum(event.WhichOneof("event") == "image" for event in events) == 16
    server.wait_until_idle()
    for device in ("cuda:0", "cuda:2"):
        assert server.metric("hmar_step_images_sum", device=device, model="m") >= 5  # The probe's.
        assert server.metric("hmar_device_busy_seconds_total", device=device) > 0
        assert server.metric("hmar_device_memory_bytes", device=device, kind="weights") == 1e6
        assert server.metric("hmar_device_memory_bytes", device=device, kind="slots") == 4000
    assert server.metric("hmar_images_total", model="m", outcome="done") == 16  # The probes are no client's.
    assert server.metric("hmar_queue_duration_seconds_count", model="m") == 16
    assert server.metric("hmar_step_images_sum", model="m") == 5 * (16 + 2)  # An image takes five passes; a probe a device.


def test_a_lost_device_ends_the_process_with_5_and_its_calls_with_a_reason(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_LOST_AFTER_STEPS", "40")
    server = start_on_gpus()
    server.wait_until_ready()
    watch = server.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=GENEROUS_SECONDS)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    states = []
    watcher = threading.Thread(target=lambda: states.extend(_until_error(watch)))
    watcher.start()
    error = error_of(lambda: server.stub().Generate(small_request(num_images=64)))
    assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DEVICE_LOST")
    assert server.wait_for_exit() == 5
    watcher.join()
    assert states == [health_pb2.HealthCheckResponse.NOT_SERVING]  # Once, although both devices are lost.
    assert "is lost: CUDA error" in server.output


def _until_error(watch):
    states = []
    try:
        for state in watch:
            states.append(state.status)
    except grpc.RpcError:
        pass
    return states


def test_a_failed_probe_ends_the_process_with_3(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_FAILS_SEED", "0")
    server = start_on_gpus()
    assert server.wait_for_exit() == 3
    assert "probe image of model m: logits are not finite" in server.output


def test_a_hung_step_does_not_hold_the_process_back(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_HANG_AFTER_STEPS", "10")  # The probe takes five.
    server = start_on_gpus("--drain-seconds=0", "--hang-seconds=3600")
    server.wait_until_ready()
    call = server.stub().Generate(small_request(num_images=64))
    assert next(call).WhichOneof("event") == "accepted"
    server.process.send_signal(signal.SIGTERM)
    error = error_of(lambda: call)
    assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert server.wait_for_exit() == 3
    assert "a step of a device seems to hang" in server.output


def test_a_step_that_hangs_is_a_lost_device(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_HANG_AFTER_STEPS", "10")
    server = start_on_gpus("--hang-seconds=1")
    server.wait_until_ready()
    watch = server.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=GENEROUS_SECONDS)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    error = error_of(lambda: server.stub().Generate(small_request(num_images=64)))
    assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DEVICE_LOST")
    assert "a step hangs" in error.message
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert server.wait_for_exit() == 5
    assert "is lost: a step hangs" in server.output  # The log was written out.


@pytest.mark.parametrize("delay", [0, 3600])
def test_a_step_that_hangs_in_a_drain_is_a_lost_device(start_on_gpus, monkeypatch, delay):
    monkeypatch.setenv("HMAR_FAKE_CUDA_HANG_AFTER_STEPS", "10")
    server = start_on_gpus("--hang-seconds=1", "--drain-seconds=3600", f"--drain-delay-seconds={delay}")
    server.wait_until_ready()
    call = server.stub().Generate(small_request(num_images=64))
    assert next(call).WhichOneof("event") == "accepted"
    server.process.send_signal(signal.SIGTERM)
    error = error_of(lambda: call)
    assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DEVICE_LOST")
    assert server.wait_for_exit() == 5


def test_a_device_that_is_lost_in_a_drain_ends_the_process_with_5(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_LOST_AFTER_STEPS", "10")
    server = start_on_gpus("--drain-delay-seconds=3600")
    server.wait_until_ready()
    server.process.send_signal(signal.SIGTERM)
    server.wait_for_line("taking requests for another")
    error = error_of(lambda: server.stub().Generate(small_request(num_images=64)))
    assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DEVICE_LOST")
    assert server.wait_for_exit() == 5


def test_a_probe_that_hangs_is_a_lost_device(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_HANG_AFTER_STEPS", "2")
    server = start_on_gpus("--probe-seconds=3")
    assert server.wait_for_exit() == 5
    assert "no picture within 3s" in server.output


def test_a_model_that_does_not_load_is_a_lost_device(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_LOAD_HANGS", "1")
    server = start_on_gpus("--load-seconds=1")
    assert server.wait_for_exit() == 5
    assert "model m on cuda:0, model m on cuda:2 not loaded within 1 s" in server.output
    assert not server.port_file.exists()


def test_a_signal_does_not_wait_for_a_model_to_load(start_on_gpus, monkeypatch):
    monkeypatch.setenv("HMAR_FAKE_CUDA_LOAD_HANGS", "1")
    server = start_on_gpus()
    server.wait_for_line(" options ")
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert "stopped while loading" in server.output
    assert not server.port_file.exists()


def test_a_gpu_that_is_not_there_is_an_error_at_start(start_on_gpus):
    server = start_on_gpus(device=["--device=cuda:9"])
    assert server.wait_for_exit() == 1
    assert "model m on cuda:9: there are 8 devices" in server.output


def test_a_library_that_cannot_be_opened_is_an_error_at_start(start_on_gpus, tmp_path):
    (tmp_path / "lib" / "libhmar_cuda.so").write_text("no library")
    server = start_on_gpus()
    assert server.wait_for_exit() == 1
    assert f"{tmp_path}/lib/libhmar_cuda.so: file too short" in server.output
