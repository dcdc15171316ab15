"""Who is let in at the HTTP port: keys and certificates, the same as gRPC's."""
import http.client
import json
import ssl

import openai
import pytest

from authority import Authority
from keys_file import Keys

MODEL = "hmar-cifar10"


@pytest.fixture
def start_door(start_server, model_folder):
    """start_door(*flags): a server with an HTTP port, ready."""

    def start(*flags):
        server = start_server(f"--model={MODEL}={model_folder}", "--http=127.0.0.1:0", *flags)
        server.wait_for_line("ready")
        return server

    return start


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


def client_with(server, key):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{server.http_port}/v1", api_key=key, max_retries=0, timeout=120,
                         _strict_response_validation=True)


def ask(connection, path, **headers):
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def context_of(authority, own=None):
    context = ssl.create_default_context(cafile=str(authority.file))
    if own is not None:
        context.load_cert_chain(own.cert, own.key)
    return context


def over_tls(server, context):
    return http.client.HTTPSConnection("localhost", server.http_port, timeout=60, context=context)


def status_over_tls(server, context, path="/v1/models"):
    connection = over_tls(server, context)
    try:
        return ask(connection, path)[0]
    finally:
        connection.close()


def test_a_key_is_asked_for_and_says_what_may_be_done(start_door, hmar, model_folder, tmp_path):
    keys = Keys(hmar, tmp_path / "keys.toml").add("alice", "--images-per-minute=2").add("bob", "--models=other").write()
    server = start_door(f"--model=other={model_folder}", f"--keys={keys.file}")
    plain = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    for path in ("/", "/healthz", "/readyz"):
        assert ask(plain, path)[0] == 200
    status, headers, body = ask(plain, "/v1/models")
    assert (status, headers["www-authenticate"]) == (401, "Bearer") and json.loads(body)["error"]["code"] == "KEY_MISSING"
    with pytest.raises(openai.AuthenticationError) as refused:
        client_with(server, "hmar_no-such-key").images.generate(prompt="ship")
    assert refused.value.code == "KEY_UNKNOWN" and "no-such-key" not in server.output
    with client_with(server, keys.keys["alice"]) as alice:
        assert len(alice.images.generate(prompt="ship", n=2).data) == 2
        with pytest.raises(openai.RateLimitError) as used_up:
            alice.images.generate(prompt="ship", n=2)
        assert used_up.value.code == "QUOTA_IMAGES" and int(used_up.value.response.headers["retry-after"]) >= 1
        assert [model.id for model in alice.models.list().data] == [MODEL, "other"]
    with client_with(server, keys.keys["bob"]) as bob:
        assert [model.id for model in bob.models.list().data] == ["other"]
        with pytest.raises(openai.PermissionDeniedError) as forbidden:
            bob.images.generate(prompt="ship")
        assert forbidden.value.code == "MODEL_NOT_ALLOWED" and forbidden.value.type == "permission_error"
    assert all(key not in server.output for key in keys.keys.values())


def test_who_trusts_the_authority_is_served_over_tls(start_door, authority, tmp_path):
    files = authority.issue()
    server = start_door(f"--tls-cert={files.cert}", f"--tls-key={files.key}")
    assert status_over_tls(server, context_of(authority)) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        status_over_tls(server, context_of(Authority(tmp_path / "theirs")))
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60), "/v1/models")
    old = context_of(authority)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        status_over_tls(server, old)


def test_pictures_come_over_tls_as_they_are(start_door, authority):
    files = authority.issue()
    server = start_door(f"--tls-cert={files.cert}", f"--tls-key={files.key}")
    connection = over_tls(server, context_of(authority))
    fields = {"prompt": "ship", "n": 16, "seed": 7, "stream": True, "events": "hmar", "previews": "full"}
    for _ in range(2):  # On one connection.
        connection.request("POST", "/v1/images/generations", json.dumps(fields), {"content-type": "application/json"})
        text = connection.getresponse().read().decode()
        assert text.count("event: hmar.image\n") == 16 and "event: hmar.completed\n" in text


def test_clients_may_need_a_certificate(start_door, authority, tmp_path):
    files, theirs = authority.issue(), Authority(tmp_path / "theirs")
    server = start_door(f"--tls-cert={files.cert}", f"--tls-key={files.key}", f"--tls-client-ca={authority.file}")
    assert status_over_tls(server, context_of(authority, authority.issue("alice"))) == 200
    for own in (None, theirs.issue("mallory")):
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            status_over_tls(server, context_of(authority, own))


def test_a_renewed_certificate_serves_new_connections_and_ends_no_old_one(start_door, authority, tmp_path):
    files, next_authority = authority.issue(), Authority(tmp_path / "next")
    server = start_door(f"--tls-cert={files.cert}", f"--tls-key={files.key}")
    old = over_tls(server, context_of(authority))
    assert ask(old, "/healthz")[0] == 200
    next_authority.issue(folder=authority.folder)

    def is_renewed():
        try:
            return status_over_tls(server, context_of(next_authority), "/healthz") == 200
        except ssl.SSLCertVerificationError:
            return False  # It looks once a second.

    server._wait_for("renewed certificate", lambda: True if is_renewed() else None)
    assert ask(old, "/healthz")[0] == 200
    files.cert.write_text("no certificate")
    assert status_over_tls(server, context_of(next_authority), "/healthz") == 200  # What was there is used on.
