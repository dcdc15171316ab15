"""Keys: who may call, what they may, and what of them is seen: never the key."""
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from hmar.v1 import image_generation_pb2 as pb

from keys_file import Keys
from requests_under_test import request

MODEL = "hmar-cifar10"


@pytest.fixture
def keys(hmar, tmp_path):
    return Keys(hmar, tmp_path / "keys.toml")


@pytest.fixture
def start_with(start_server, model_folder):
    """start_with(keys, *flags): a server that is ready."""

    def start(keys, *flags):
        server = start_server(f"--model={MODEL}={model_folder}", f"--keys={keys.file}", *flags)
        server.wait_for_line("ready")
        return server

    return start


def details_of(error):
    """Reason of ErrorInfo, and every detail by the name of its type."""
    packed = dict(error.trailing_metadata())["grpc-status-details-bin"]
    details = {}
    for any_ in status_pb2.Status.FromString(packed).details:
        message = getattr(error_details_pb2, any_.TypeName().rpartition(".")[2])()
        any_.Unpack(message)
        details[type(message).__name__] = message
    return details["ErrorInfo"].reason, details


def refusal(call, *args, **kwargs):
    """Code, reason and details of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        answer = call(*args, **kwargs, timeout=60)
        list(answer) if hasattr(answer, "__iter__") else answer
    return raised.value.code(), *details_of(raised.value)


def generate(server, metadata, **fields):
    answer = server.stub().Generate(request(**fields), metadata=metadata, timeout=60)
    return [event.image for event in answer if event.HasField("image")]


def test_who_has_no_key_or_a_wrong_one_is_not_let_in(keys, start_with):
    server = start_with(keys.add("alice").write())
    for metadata, reason in (((), "KEY_MISSING"), ((("authorization", "Basic YTpi"),), "KEY_MISSING"),
                             ((("authorization", "Bearer " + keys.keys["alice"][:-1]),), "KEY_UNKNOWN"),
                             (keys.of("alice") * 2, "KEY_MISSING")):
        for call, message in ((server.stub().ListModels, pb.ListModelsRequest()), (server.stub().GetModel, pb.GetModelRequest()),
                              (server.stub().GenerateImages, pb.GenerateImagesRequest(request=request())),
                              (server.stub().Generate, request())):
            code, found, _ = refusal(call, message, metadata=metadata)
            assert (code, found) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert server.metric("hmar_admission_rejected_total", reason="KEY_UNKNOWN") == 4
    assert len(generate(server, keys.of("alice"), num_images=2)) == 2


def test_health_is_open_and_reflection_can_be_closed(keys, start_with, hmar):
    server = start_with(keys.add("alice").write(), "--reflection=off")
    server.wait_until_ready()
    assert server.health().Check(health_pb2.HealthCheckRequest(), timeout=30).status == health_pb2.HealthCheckResponse.SERVING
    call = server.channel().stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    with pytest.raises(grpc.RpcError) as raised:
        list(call(iter([b"\x3a\x00"]), timeout=30))
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED
    found = subprocess.run([hmar, "--server", server.address, "models"], capture_output=True, text=True,
                           env={**os.environ, "HMAR_KEY": keys.keys["alice"]})
    assert found.returncode == 0 and MODEL in found.stdout
    denied = subprocess.run([hmar, "--server", server.address, "models"], capture_output=True, text=True)
    assert denied.returncode == 1 and "KEY_MISSING" in denied.stderr


def test_a_key_is_for_its_models_and_sees_no_others(keys, start_server, model_folder):
    keys.add("alice", "--models=second").add("bob").write()
    server = start_server(f"--model={MODEL}={model_folder}", f"--model=second={model_folder}", f"--keys={keys.file}")
    server.wait_for_line("ready")
    models = server.stub().ListModels(pb.ListModelsRequest(), metadata=keys.of("alice"), timeout=30).models
    assert [(model.name, model.is_default) for model in models] == [("second", False)]
    assert len(server.stub().ListModels(pb.ListModelsRequest(), metadata=keys.of("bob"), timeout=30).models) == 2
    for call, message in ((server.stub().GetModel, pb.GetModelRequest()), (server.stub().Generate, request(model=MODEL)),
                          (server.stub().Generate, request())):
        code, reason, _ = refusal(call, message, metadata=keys.of("alice"))
        assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    with pytest.raises(grpc.RpcError) as raised:
        server.stub().GetModel(pb.GetModelRequest(name="third"), metadata=keys.of("alice"), timeout=30)
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND and MODEL not in raised.value.details()
    assert len(generate(server, keys.of("alice"), model="second")) == 1


def test_images_a_minute_and_priorities_have_their_limits(keys, start_with):
    server = start_with(keys.add("alice", "--images-per-minute=5", "--max-priority=0").add("bob").write())
    code, reason, _ = refusal(server.stub().Generate, request(scheduling=pb.Scheduling(priority=1)), metadata=keys.of("alice"))
    assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "PRIORITY_NOT_ALLOWED")
    code, reason, details = refusal(server.stub().Generate, request(num_images=6), metadata=keys.of("alice"))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE")
    assert [violation.field for violation in details["BadRequest"].field_violations] == ["num_images"]
    assert len(generate(server, keys.of("alice"), num_images=5)) == 5
    code, reason, details = refusal(server.stub().Generate, request(num_images=5), metadata=keys.of("alice"))
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_IMAGES")
    assert [violation.subject for violation in details["QuotaFailure"].violations] == ["key:alice"]
    assert 30 < details["RetryInfo"].retry_delay.seconds <= 60
    assert len(generate(server, keys.of("bob"), num_images=6, scheduling=pb.Scheduling(priority=5))) == 6


def test_what_was_never_made_does_not_count(keys, start_with):
    server = start_with(keys.add("alice", "--images-per-minute=4").write())
    priced = list(server.stub().Generate(request(num_images=4, validate_only=True), metadata=keys.of("alice"), timeout=60))
    assert priced[0].HasField("accepted")
    bad = request(num_images=4, edit=pb.EditOptions(image=b"no picture"))
    assert refusal(server.stub().Generate, bad, metadata=keys.of("alice"))[1] == "IMAGE_INVALID"
    assert len(generate(server, keys.of("alice"), num_images=4)) == 4


def test_one_users_queue_is_full_and_anothers_is_not(keys, start_with):
    server = start_with(keys.add("alice", "--max-queued-images=3").add("bob").write())
    code, reason, _ = refusal(server.stub().Generate, request(num_images=4), metadata=keys.of("alice"))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_OUT_OF_RANGE")
    assert len(generate(server, keys.of("bob"), num_images=16)) == 16
    assert len(generate(server, keys.of("alice"), num_images=3)) == 3


def test_metrics_and_logs_name_who_it_was_and_never_the_key(keys, start_with):
    server = start_with(keys.add("alice").add("bob").write())
    assert len(generate(server, keys.of("alice"), num_images=3)) == 3
    refusal(server.stub().ListModels, pb.ListModelsRequest(), metadata=(("authorization", "Bearer sesame"),))
    line = json.loads(server.wait_for_line('"images_sent":3'))
    assert line["key"] == "alice"
    assert server.metric("hmar_principal_images_total", principal="alice") == 3
    used = server.metric("hmar_principal_device_seconds_total", principal="alice")
    assert used == pytest.approx(line["device_s"], rel=1e-6) and used > 0
    assert 'hmar_principal_images_total{principal="bob"} 0' in server.metrics_text()
    server.stop()
    for secret in (*keys.keys.values(), "sesame", *re.findall(r'sha256 = "(\w+)"', keys.file.read_text())):
        assert secret not in server.output


def test_keys_come_and_go_while_the_server_runs(keys, start_with):
    server = start_with(keys.add("alice").write())
    stream = server.stub().Generate(request(num_images=32), metadata=keys.of("alice"), timeout=60)
    assert next(stream).HasField("accepted")
    keys.tables.pop("alice")
    keys.add("bob").write()
    server.wait_for_line("reload, --keys: read")
    assert refusal(server.stub().Generate, request(), metadata=keys.of("alice"))[1] == "KEY_UNKNOWN"
    assert len(generate(server, keys.of("bob"))) == 1
    assert sum(event.HasField("image") for event in stream) == 32, "what was accepted is finished"
    keys.file.write_text(keys.file.read_text() + '[[key]]\nname = "carol"\nsha256 = "12"\n')
    line = server.wait_for_line("all is as it was")
    assert f"{keys.file}:" in line and "sha256 must be" in line
    assert len(generate(server, keys.of("bob"))) == 1
    keys.add("carol").write()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line("keys: 2")
    assert len(generate(server, keys.of("carol"))) == 1


@pytest.mark.parametrize("lines, what", [
    ('[[key]]\nname = "a"\ncolor = 1\n', ":3: no such field: color"),
    ('[[key]]\nname = "a"\nsha256 = "xyz"\n', ":3: sha256 must be"),
    ('[[key]]\nname = "a"\nsha256 = "{0}"\n[[key]]\nname = "a"\nsha256 = "{1}"\n', ":4: a second key named a"),
], ids=["field", "hash", "twice"])
def test_a_faulty_file_is_refused_with_its_line(lines, what, hmar_server, model_folder, tmp_path):
    file = tmp_path / "keys.toml"
    file.write_text(lines.format("1" * 64, "2" * 64))
    ended = subprocess.run([hmar_server, "--listen=127.0.0.1:0", f"--model=m={model_folder}", f"--keys={file}"],
                           capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert f"--keys: {file}{what}" in ended.stderr


def test_a_load_shows_a_key(keys, start_with, build_dir, tmp_path):
    server = start_with(keys.add("alice").write())
    file = tmp_path / "key"
    file.write_text(keys.keys["alice"] + "\n")
    command = [build_dir / "client" / "hmar-load", "--server", server.address, "--quiet", "--requests=4", "--concurrency=2"]
    assert subprocess.run([*command, "--api-key-file", file], capture_output=True).returncode == 0
    assert server.metric("hmar_principal_images_total", principal="alice") == 4
    stranger = subprocess.run(command, capture_output=True, text=True)
    assert stranger.returncode == 3 and "KEY_MISSING" in stranger.stderr


def test_each_kind_of_a_load_shows_a_key_of_its_own(keys, start_with, build_dir, tmp_path):
    server = start_with(keys.add("alice").add("bob", "--images-per-minute=1").write())
    kinds = ""
    for name in ("alice", "bob"):
        (tmp_path / name).write_text(keys.keys[name])
        kinds += f'[[mix]]\nname = "{name}"\napi_key_file = "{tmp_path / name}"\n'
    (tmp_path / "mix.toml").write_text(kinds)
    command = [build_dir / "client" / "hmar-load", "--server", server.address, "--quiet", "--requests=8", "--concurrency=2",
               "--mix", tmp_path / "mix.toml"]
    load = subprocess.run(command, capture_output=True, text=True)
    assert "QUOTA_IMAGES" in load.stdout, load.stderr
    ok = int(re.search(r"^ +alice(?: +\d+){2} +(\d+)", load.stdout, re.M)[1])  # After DUE and UNSENT.
    assert server.metric("hmar_principal_images_total", principal="alice") == ok > 0


def test_a_key_expires(keys, start_with):
    keys.add("alice", "--expires=2020-02-29").add("bob", "--expires=2999-12-31T00:00:00Z").write()
    server = start_with(keys)
    code, reason, _ = refusal(server.stub().Generate, request(), metadata=keys.of("alice"))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "KEY_EXPIRED")
    assert len(generate(server, keys.of("bob"))) == 1


def test_metrics_have_a_password(start_server, model_folder, tmp_path):
    file = tmp_path / "metrics.htpasswd"
    hashed = subprocess.run(["openssl", "passwd", "-6", "secret"], capture_output=True, text=True, check=True).stdout
    file.write_text(f"prometheus:{hashed}")
    server = start_server(f"--model=m={model_folder}", f"--metrics-basic-auth={file}")
    url = f"http://127.0.0.1:{server.metrics_port}/metrics"

    def scrape(user, password):
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, url, user, password)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
        try:
            with opener.open(url, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(url, timeout=30)
    assert raised.value.code == 401 and raised.value.headers["WWW-Authenticate"].startswith("Basic realm=")
    assert scrape("prometheus", "guess") == 401
    assert scrape("prometheus", "secret") == 200


@pytest.mark.parametrize("flags", [["--name=a b"], ["--name="], [], ["--name=a", "--weight=0"], ["--name=a", "--expires=tomorrow"],
                                   ["--name=a", "--expires=2027-02-30"], ["--name=a", "--images-per-minute=0"]])
def test_no_key_is_made_that_the_file_would_not_take(hmar, flags):
    made = subprocess.run([hmar, "key", "new", *flags], capture_output=True, text=True)
    assert made.returncode == 2 and made.stdout == "" and "hmar_" not in made.stderr
