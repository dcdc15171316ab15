"""Start, several models, drain, and the starts that must fail before the server listens."""
import re
import shutil
import signal
import socket
import subprocess
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import error_of, images_of, request
from server_process import GENEROUS_SECONDS, READINESS

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


def test_several_models_share_one_server_and_the_first_is_the_default(start_server, model_folder):
    server = start_server(f"--model=first={model_folder}", f"--model=second={model_folder}")
    server.wait_until_ready()
    stub = server.stub()
    models = stub.ListModels(pb.ListModelsRequest()).models
    assert [(model.name, model.is_default) for model in models] == [("first", True), ("second", False)]
    calls = [stub.Generate(request(model=name)) for name in ("", "first", "second")]
    streams = [list(call) for call in calls]
    assert [stream[0].accepted.model for stream in streams] == ["first", "first", "second"]
    assert len({images_of(stream)[0].picture.data for stream in streams}) == 1


def test_sigterm_finishes_what_was_accepted_and_exits_with_0(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    watch = server.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=GENEROUS_SECONDS)
    assert next(watch).status == SERVING
    call = server.stub().Generate(request(num_images=8))
    assert next(call).WhichOneof("event") == "accepted"
    server.process.send_signal(signal.SIGTERM)
    assert next(watch).status == NOT_SERVING
    assert len(images_of(call)) == 8
    assert server.wait_for_exit() == 0, server.output


def test_a_second_signal_ends_at_once(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    watch = server.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=GENEROUS_SECONDS)
    assert next(watch).status == SERVING
    call = server.stub().Generate(request(num_images=64))
    next(call)
    server.process.send_signal(signal.SIGTERM)
    assert next(watch).status == NOT_SERVING  # The first one was heard.
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError):
        list(call)
    assert server.wait_for_exit() == 4, server.output


def test_what_is_left_at_the_end_of_the_drain_fails_and_so_does_the_server(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--drain-seconds=0")
    server.wait_until_ready()
    call = server.stub().Generate(request(num_images=64))
    next(call)
    server.process.send_signal(signal.SIGTERM)
    error = error_of(lambda: call)
    assert (error.code, error.info.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert server.wait_for_exit() == 3
    assert "requests were left unfinished" in server.output


def test_after_sigterm_it_serves_on_until_balancers_have_noticed(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--drain-delay-seconds=3600")
    server.wait_until_ready()
    watch = server.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=GENEROUS_SECONDS)
    assert next(watch).status == SERVING
    server.process.send_signal(signal.SIGTERM)
    assert next(watch).status == NOT_SERVING
    assert len(images_of(server.stub().Generate(request(num_images=2)))) == 2
    assert server.stub().ListModels(pb.ListModelsRequest()).models
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_for_exit() == 4, server.output


def test_the_delay_holds_without_any_connection_and_then_it_drains(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--drain-delay-seconds=2")
    server.wait_for_line(" ready")
    start = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0, server.output
    assert time.monotonic() - start >= 2
    lines = [line for line in server.lines if "taking requests for another 2s" in line or "finishing what" in line]
    assert len(lines) == 2, server.output


def test_a_signal_without_a_meaning_is_ignored_and_told(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_line(f"{signal.strsignal(signal.SIGUSR2)}: ignored")
    assert len(images_of(server.stub().Generate(request()))) == 1
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0, server.output


def test_sigusr1_switches_the_log_to_debug_and_back(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--log-level=warn")
    server.wait_until_ready()
    assert " info " not in server.output
    server.process.send_signal(signal.SIGUSR1)
    server.wait_for_line("info log level debug")
    server.process.send_signal(signal.SIGUSR1)
    server.wait_for_line("info log level warning")
    server.process.send_signal(signal.SIGUSR2)  # Told at level info, so no longer; heard before SIGTERM, the higher.
    server.process.send_signal(signal.SIGTERM)
    assert server.wait_for_exit() == 0
    assert "ignored" not in server.output


def test_sighup_reads_the_log_level_again(start_server, model_folder, tmp_path):
    config = tmp_path / "hmar.toml"
    config.write_text('# of the test\nlog-level = "warn"\n')
    server = start_server(f"--model=m={model_folder}", f"--config={config}")
    server.wait_until_ready()
    assert " info " not in server.output
    config.write_text('log-level = "debug"\n')
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line("info log level debug")
    server.wait_for_line("reload, log level: read ")
    for bad, place in [("\n\nlog-level = 'loud'\n", ":3: "), ("log-level = 'warn'\nnonsense = 1\n", ":2: "),
                       ("log-level = 'warn'\n\n\nthreads = 5000\n", ":4: ")]:
        config.write_text(bad)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_line(f"error reload, log level: {config}{place}")
    config.unlink()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line(f"error reload, log level: {config} was not readable")
    server.process.send_signal(signal.SIGUSR1)  # From the level that still holds.
    server.wait_for_line("info log level info")


def test_sighup_without_a_file_says_so_and_a_flag_wins_over_one(start_server, model_folder, tmp_path):
    server = start_server(f"--model=m={model_folder}")
    server.wait_until_ready()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line("error reload, log level: there is no --config file")
    config = tmp_path / "hmar.toml"
    config.write_text('log-level = "error"\n')
    server = start_server(f"--model=m={model_folder}", f"--config={config}", "--log-level=info")
    server.wait_until_ready()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line("info log level info")


def failed_start(start_server, *flags):
    """The output of a server that must exit with an error before it listens."""
    server = start_server(*flags)
    assert server.wait_for_exit() not in (0, None)
    assert server.process.returncode > 0, f"died of signal {-server.process.returncode}:\n{server.output}"
    assert not server.port_file.exists()
    return server.output


def one_clear_line(output, *needles):
    """There is one line of error in the output, and it names all of these."""
    lines = [line for line in output.splitlines() if re.match(r"\S+ error ", line)]
    assert len(lines) == 1, output
    for needle in needles:
        assert needle in lines[0], output


def test_a_missing_model_folder(start_server, tmp_path):
    one_clear_line(failed_start(start_server, f"--model=m={tmp_path}/nowhere"), f"{tmp_path}/nowhere")


def broken_copy(model_folder, tmp_path, name, change):
    copy = tmp_path / "model"
    shutil.copytree(model_folder, copy)
    path = copy / name
    path.write_bytes(change(path.read_bytes()))
    return copy, path


@pytest.mark.parametrize("name, change", [
    ("hmar.safetensors", lambda data: data[:len(data) // 2]),
    ("hmar.safetensors", lambda data: b"\xff" * 8 + data[8:]),
    ("hmar.safetensors", lambda data: b""),
    ("vqvae.safetensors", lambda data: data[:-1]),
    ("config.json", lambda data: data[:-20]),
    ("config.json", lambda data: data.replace(b'"depth": 12', b'"depth": 13')),
    ("config.json", lambda data: data.replace(b'"depth": 12', b'"depth": -12')),
    ("config.json", lambda data: data.replace(b'"embed_dim": 256', b'"embed_dim": 320')),
], ids=["half", "huge-header", "empty", "last-byte", "cut-json", "missing-tensor", "negative", "misshapen"])
def test_a_broken_model_folder(start_server, model_folder, tmp_path, name, change):
    copy, path = broken_copy(model_folder, tmp_path, name, change)
    output = failed_start(start_server, f"--model=m={copy}")
    one_clear_line(output, str(copy))


def test_a_busy_port(start_server, model_folder):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        output = failed_start(start_server, f"--model=m={model_folder}", f"--listen=127.0.0.1:{port}")
        one_clear_line(output, f"127.0.0.1:{port}")


def test_a_busy_metrics_port(start_server, model_folder):
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        output = failed_start(start_server, f"--model=m={model_folder}", f"--metrics=127.0.0.1:{port}")
        one_clear_line(output, f"127.0.0.1:{port}")


@pytest.mark.parametrize("flags", [
    ["--model=nameless"],
    ["--model=m=x", "--model=m=y"],
    ["--model=m=x", "--device=tpu"],
    ["--model=m=x", "--colour=red"],
    ["--model=m=x", "--config=/no/such/file"],
])
def test_bad_flags(hmar_server, flags):
    ended = subprocess.run([hmar_server, "--listen=127.0.0.1:0", "--metrics=127.0.0.1:0", *flags],
                           capture_output=True, text=True, timeout=GENEROUS_SECONDS)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_help_needs_nothing(hmar_server):
    ended = subprocess.run([hmar_server, "--help"], capture_output=True, text=True, timeout=GENEROUS_SECONDS)
    assert ended.returncode == 0
    for flag in ("--model", "--listen", "--metrics", "--device", "--config"):
        assert flag in ended.stdout
