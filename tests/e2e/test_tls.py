"""TLS: who is let in, who is not, and certificates that are renewed under load. The authorities are made on the spot."""
import datetime
import socket
import ssl
import subprocess

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc

from authority import Authority
from requests_under_test import images_of, request


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


@pytest.fixture
def stranger(tmp_path):
    return Authority(tmp_path / "theirs")


@pytest.fixture
def start_tls(start_server, model_folder):
    """start_tls(files, *flags): a server with this certificate, live but perhaps not ready."""

    def start(files, *flags):
        server = start_server(f"--model=m={model_folder}", f"--tls-cert={files.cert}", f"--tls-key={files.key}", *flags)
        server.wait_for_line("ready")
        return server

    return start


def channel_of(server, ca, own=None):
    credentials = grpc.ssl_channel_credentials(
        ca.file.read_bytes(), *((own.key.read_bytes(), own.cert.read_bytes()) if own else (None, None)))
    return grpc.secure_channel(f"localhost:{server.port}", credentials)


def models_by(channel):
    """The names of the server's models, or the code of the failure."""
    with channel:
        try:
            reply = image_generation_pb2_grpc.ImageGenerationServiceStub(channel).ListModels(pb.ListModelsRequest(), timeout=30)
        except grpc.RpcError as error:
            return error.code()
    return [model.name for model in reply.models]


def test_who_trusts_the_authority_is_served(start_tls, authority, hmar, build_dir):
    server = start_tls(authority.issue())
    assert models_by(channel_of(server, authority)) == ["m"]
    address = f"localhost:{server.port}"
    told = subprocess.run([hmar, "--server", address, "--ca", authority.file, "models"], capture_output=True, text=True)
    assert told.returncode == 0 and "m" in told.stdout
    load = subprocess.run([build_dir / "client" / "hmar-load", "--server", address, "--ca", authority.file, "--concurrency", "2",
                           "--requests", "4", "--quiet"], capture_output=True, text=True)
    assert load.returncode == 0, load.stderr


def test_others_are_not(start_tls, authority, stranger, hmar):
    server = start_tls(authority.issue())
    assert models_by(channel_of(server, stranger)) == grpc.StatusCode.UNAVAILABLE
    assert models_by(grpc.insecure_channel(f"localhost:{server.port}")) == grpc.StatusCode.UNAVAILABLE
    told = subprocess.run([hmar, "--server", f"localhost:{server.port}", "health"], capture_output=True, text=True)
    assert told.returncode == 3
    assert models_by(channel_of(server, authority)) == ["m"]


def test_a_certificate_of_another_name_or_time_is_not_trusted(start_tls, authority):
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    for files in (authority.issue("other.example"), authority.issue(not_after=past)):
        assert models_by(channel_of(start_tls(files), authority)) == grpc.StatusCode.UNAVAILABLE


def test_clients_may_need_a_certificate(start_tls, authority, stranger, hmar):
    server = start_tls(authority.issue(), f"--tls-client-ca={authority.file}")
    own, foreign = authority.issue("alice"), stranger.issue("mallory")
    assert models_by(channel_of(server, authority, own)) == ["m"]
    assert models_by(channel_of(server, authority)) == grpc.StatusCode.UNAVAILABLE
    assert models_by(channel_of(server, authority, foreign)) == grpc.StatusCode.UNAVAILABLE
    given = ["--ca", authority.file, "--cert", own.cert, "--key", own.key]
    told = subprocess.run([hmar, "--server", f"localhost:{server.port}", *given, "models"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_a_renewed_certificate_serves_new_connections_and_ends_no_call(start_tls, authority, stranger):
    server = start_tls(authority.issue())
    with channel_of(server, authority) as channel:
        stub = image_generation_pb2_grpc.ImageGenerationServiceStub(channel)
        call = stub.Generate(request(num_images=64), timeout=120)
        stranger.issue(folder=authority.folder)  # Another authority: the old one's clients could not tell otherwise.
        while models_by(channel_of(server, stranger)) != ["m"]:
            assert call.is_active()
        assert len(images_of(call)) == 64
    assert models_by(channel_of(server, authority)) == grpc.StatusCode.UNAVAILABLE


def test_it_tells_when_the_certificate_ends_and_sees_a_new_one(start_tls, authority):
    metric = "hmar_certificate_expiration_timestamp_seconds"
    ends = [datetime.datetime(year, 3, 1, tzinfo=datetime.timezone.utc) for year in (2020, 2199)]
    server = start_tls(authority.issue(not_after=ends[1]))
    assert server.metric(metric) == ends[1].timestamp()
    assert "--tls-cert: good until 2199-03-01T00:00:00Z" in server.output
    authority.issue(not_before=ends[0].replace(year=2019), not_after=ends[0])
    assert server.metric(metric) == ends[0].timestamp()
    (authority.folder / "localhost.cert").write_text("nothing")
    assert server.metric(metric) == 0


def test_a_certificate_that_has_ended_is_a_warning_at_the_start(start_tls, authority):
    end = datetime.datetime(2020, 3, 1, tzinfo=datetime.timezone.utc)
    server = start_tls(authority.issue(not_before=end.replace(year=2019), not_after=end))
    (line,) = [line for line in server.output.splitlines() if "--tls-cert" in line and "2020" in line]
    assert "warn" in line and "ended 2020-03-01T00:00:00Z" in line


def test_tls_below_1_2_is_refused(start_tls, authority):
    server = start_tls(authority.issue())
    context = ssl.create_default_context(cafile=authority.file)
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("localhost", server.port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
        assert tls.version() in ("TLSv1.2", "TLSv1.3")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(OSError), socket.create_connection(("localhost", server.port)) as plain:
        context.wrap_socket(plain, server_hostname="localhost")


def failed_start(start_server, model_folder, *flags):
    server = start_server(f"--model=m={model_folder}", *flags)
    assert server.wait_for_exit() != 0
    return server.output


def test_files_that_cannot_serve_are_named_before_anything_listens(start_server, model_folder, authority, stranger, tmp_path):
    ours, theirs = authority.issue(), stranger.issue()
    junk = tmp_path / "junk.pem"
    junk.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n")
    cert, key = f"--tls-cert={ours.cert}", f"--tls-key={ours.key}"
    for flags, told in (
            ([cert], "--tls-cert and --tls-key go together"),
            ([key], "--tls-cert and --tls-key go together"),
            ([f"--tls-client-ca={authority.file}"], "--tls-client-ca needs"),
            ([cert, f"--tls-key={theirs.key}"], f"--tls-key {theirs.key}: key values mismatch"),
            ([cert, f"--tls-key={junk}"], f"--tls-key {junk}: "),
            ([f"--tls-cert={junk}", key], f"--tls-cert {junk}: "),
            ([cert, "--tls-key=/nowhere"], "--tls-key /nowhere: it cannot be read"),
            ([cert, key, f"--tls-client-ca={junk}"], f"--tls-client-ca {junk}: ")):
        output = failed_start(start_server, model_folder, *flags)
        assert told in output
        assert "c2VjcmV0" not in output and "listening" not in output


def test_who_listens_to_all_without_tls_is_warned_once(start_server, model_folder, authority):
    files = authority.issue()
    for flags, warned in ((["--listen=0.0.0.0:0"], 1), (["--listen=127.0.0.1:0"], 0),
                          (["--listen=0.0.0.0:0", f"--tls-cert={files.cert}", f"--tls-key={files.key}"], 0)):
        server = start_server(f"--model=m={model_folder}", *flags)
        server.wait_for_line("ready")
        assert server.output.count("nothing is encrypted") == warned
        server.stop()


def test_handshakes_that_never_begin_are_ended(start_tls, authority):
    server = start_tls(authority.issue(), "--receive-seconds=1")
    silent = [socket.create_connection(("localhost", server.port), timeout=60) for _ in range(50)]
    assert models_by(channel_of(server, authority)) == ["m"]
    for connection in silent:
        with connection:
            assert connection.recv(1) == b""
