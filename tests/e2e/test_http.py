"""The HTTP door: what OpenAI's own package gets of it, and what a plain client of HTTP does."""
import asyncio
import base64
import http.client
import io
import json
import subprocess

import numpy as np
import openai
import pytest
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from requests_under_test import IMAGE_SIZE, PATCH_NUMS, images_of, one_pass, request

KEY = "not-asked-for"
UPLOAD = np.random.default_rng(5).integers(0, 256, (IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def door(hmar_server, model_folder, tmp_path_factory):
    """A ready server with an HTTP port, for every test that leaves it as it was."""
    from server_process import ServerProcess

    with ServerProcess(hmar_server, [f"--model=hmar-cifar10={model_folder}", "--http=127.0.0.1:0"],
                       tmp_path_factory.mktemp("door")) as running:
        running.wait_until_ready()
        yield running


def url(server):
    return f"http://127.0.0.1:{server.http_port}/v1"


def client_of(server, **options):
    return openai.OpenAI(**({"base_url": url(server), "api_key": KEY, "_strict_response_validation": True,
                             "max_retries": 0, "timeout": 120} | options))


@pytest.fixture
def client(door):
    with client_of(door) as made:
        yield made


def ask(server, method, path, body=None, headers=None):
    """status, headers in lower case, body"""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def post(server, fields, path="/v1/images/generations", **headers):
    status, told, body = ask(server, "POST", path, json.dumps(fields), {"content-type": "application/json"} | headers)
    return status, told, json.loads(body)


def pixels_of(b64_json):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(b64_json))).convert("RGB"))


def png(array, mode=None):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, "PNG")
    return out.getvalue()


def grpc_images(server, **fields):
    return images_of(server.stub().Generate(request(**fields), timeout=120))


def own_events(server, **fields):
    """(type, data) of each event of ours."""
    text = json.dumps({"stream": True, "events": "hmar"} | fields)
    status, headers, body = ask(server, "POST", "/v1/images/generations", text, {"content-type": "application/json"})
    assert status == 200 and headers["content-type"] == "text/event-stream", body
    events = []
    for block in body.decode().split("\n\n")[:-1]:
        first, second = block.split("\n")
        data = json.loads(second.removeprefix("data: "))
        assert first == f"event: {data['type']}"
        events.append((data["type"], data))
    return events


# What OpenAI's package gets.

def test_images_have_the_bytes_that_they_have_over_grpc(door, client):
    answer = client.images.generate(prompt="ship", n=3, extra_body={"seed": 7})
    assert [base64.b64decode(item.b64_json) for item in answer.data] == [
        image.picture.data for image in grpc_images(door, num_images=3)]
    assert [item.seed for item in answer.data] == ["7", "8", "9"]
    assert answer.output_format == "png" and answer.usage.output_tokens == 3 * sum(n * n for n in PATCH_NUMS)


def test_a_stream_has_partial_images_and_the_image(door, client):
    events = list(client.images.generate(prompt="ship", stream=True, partial_images=3, extra_body={"seed": 7}))
    assert [event.type for event in events] == 3 * ["image_generation.partial_image"] + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:3]] == [0, 1, 2]
    assert base64.b64decode(events[-1].b64_json) == grpc_images(door)[0].picture.data
    for event in events:
        assert pixels_of(event.b64_json).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    assert events[-1].usage.total_tokens == sum(n * n for n in PATCH_NUMS)


def test_an_edit_generates_where_the_mask_is_transparent(client):
    mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 4), np.uint8)
    mask[..., 3] = 255
    mask[8:24, 8:24, 3] = 0
    answer = client.images.edit(image=png(UPLOAD), mask=png(mask), prompt="cat", extra_body={"seed": 7})
    edited = pixels_of(answer.data[0].b64_json)
    kept = mask[..., 3] == 255
    assert (edited[kept] == UPLOAD[kept]).all() and (edited[~kept] != UPLOAD[~kept]).any()


def test_an_edit_streams(client):
    mask = np.full((IMAGE_SIZE, IMAGE_SIZE, 4), 255, np.uint8)
    mask[:16, :, 3] = 0
    events = list(client.images.edit(image=png(UPLOAD), mask=png(mask), prompt="", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert (pixels_of(events[-1].b64_json)[16:] == UPLOAD[16:]).all()


def test_other_formats_have_the_bytes_that_they_have_over_grpc(door, client):
    for name, format_ in (("jpeg", pb.OutputOptions.FORMAT_JPEG), ("webp", pb.OutputOptions.FORMAT_WEBP)):
        answer = client.images.generate(prompt="ship", output_format=name, output_compression=60, extra_body={"seed": 7})
        expected = grpc_images(door, output=pb.OutputOptions(format=format_, quality=60))[0].picture
        assert base64.b64decode(answer.data[0].b64_json) == expected.data and answer.output_format == name
        event = list(client.images.generate(prompt="ship", output_format=name, stream=True, partial_images=1))[0]
        assert event.output_format == name and pixels_of(event.b64_json).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)


def test_a_receipt_may_be_in_the_picture(door, client):
    answer = client.images.generate(prompt="ship", extra_body={"seed": 7, "embed_receipt": True})
    told = json.loads(Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json))).text["hmar-receipt"])
    assert told["seed"] == "7"


def test_models_are_listed_and_found(client):
    models = client.models.list().data
    assert [model.id for model in models] == ["hmar-cifar10"]
    model = client.models.retrieve("hmar-cifar10")
    assert model.hmar["classes"][8] == "ship" and model.hmar["image_size"] == IMAGE_SIZE
    assert model.hmar["patch_nums"] == PATCH_NUMS and model.hmar["is_default"]
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("no-such-model")
    assert missing.value.code == "MODEL_NOT_FOUND"


def test_the_asynchronous_client_gets_the_same(door):
    async def all_at_once():
        async with openai.AsyncOpenAI(base_url=url(door), api_key=KEY, max_retries=0, timeout=120,
                                      _strict_response_validation=True) as client:
            calls = [client.images.generate(prompt="ship", extra_body={"seed": seed}) for seed in range(8)]
            stream = await client.images.generate(prompt="ship", stream=True, partial_images=2, extra_body={"seed": 7})
            events = [event async for event in stream]
            return events, await asyncio.gather(*calls)

    events, answers = asyncio.run(all_at_once())
    assert len(events) == 3
    pictures = [base64.b64decode(answer.data[0].b64_json) for answer in answers]
    assert pictures == [image.picture.data for image in grpc_images(door, seed=0, num_images=8)]
    assert base64.b64decode(events[-1].b64_json) == pictures[7]


def test_errors_are_exceptions_that_say_what_is_wrong(client):
    for fields, param, reason in [
            ({"prompt": "ship", "size": "1024x1024"}, "size", "FIELD_OUT_OF_RANGE"),
            ({"prompt": "ship", "n": 10_000}, "n", "FIELD_OUT_OF_RANGE"),
            ({"prompt": "ship", "background": "transparent"}, "background", "UNKNOWN_ENUM_VALUE"),
            ({"prompt": "ship", "response_format": "url"}, "response_format", "UNKNOWN_ENUM_VALUE"),
            ({"prompt": "ship", "extra_body": {"colour": 1}}, "colour", "MESSAGE_INVALID"),
            ({"prompt": "ship", "extra_body": {"top_p": 2}}, "top_p", "SAMPLING_INVALID"),
            ({"prompt": "ship", "extra_body": {"mask_schedule": [[1]]}}, "mask_schedule", "SAMPLING_INVALID"),
            ({"prompt": "ship", "extra_body": {"priority": 99}}, "priority", "FIELD_OUT_OF_RANGE"),
            ({"prompt": "shop"}, "prompt", "UNKNOWN_CLASS"),
            ({"prompt": ""}, "prompt", "FIELD_MISSING"),
            ({"prompt": "", "extra_body": {"class": "shop"}}, "class", "UNKNOWN_CLASS")]:
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.generate(**fields)
        error = refused.value
        assert (error.param, error.code, error.type) == (param, reason, "invalid_request_error")
        assert error.body["violations"][0]["field"] == param and error.request_id == error.body["request_id"]


def test_an_error_on_the_way_ends_a_stream(client):
    broken = png(UPLOAD)
    with pytest.raises(openai.APIError) as failed:
        list(client.images.edit(image=broken[:len(broken) - 40], prompt="cat", stream=True,
                                extra_body={"box": "0,0,8,8"}))
    assert failed.value.code == "IMAGE_INVALID" and failed.value.body["violations"][0]["field"] == "image"


def test_a_full_queue_says_when_to_come_again(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--http=127.0.0.1:0", "--max-queued-images=8",
                          "--max-images-per-request=8", "--max-images-in-flight=1")
    server.wait_until_ready()
    running = [server.stub().Generate(request(num_images=8)) for _ in range(2)]
    try:
        server.wait_for_metric(lambda images: images >= 1, "hmar_running_images")
        server.wait_for_metric(lambda images: images >= 7, "hmar_queue_images")
        with client_of(server) as client, pytest.raises(openai.RateLimitError) as refused:
            client.images.generate(prompt="ship", n=8)
        error = refused.value
        assert error.code == "QUEUE_FULL" and error.type == "rate_limit_error" and error.body["retry_after"] > 0
        assert int(error.response.headers["retry-after"]) >= 1
    finally:
        for call in running:
            call.cancel()


# What plain HTTP gets.

def test_curl_draws(door, tmp_path):
    out = tmp_path / "answer.json"
    subprocess.run(["curl", "--silent", "--fail", "--output", out, f"{url(door)}/images/generations", "--header",
                    "content-type: application/json", "--data", '{"prompt": "8", "seed": "7"}'], check=True)
    item = json.loads(out.read_text())["data"][0]
    assert base64.b64decode(item["b64_json"]) == grpc_images(door)[0].picture.data
    assert (item["class"], item["width"], item["seed"]) == (8, IMAGE_SIZE, "7")


def test_curl_edits_with_a_body_that_it_announces_first(door, tmp_path):
    """curl waits for 100 Continue before it sends more than a megabyte."""
    (tmp_path / "image.png").write_bytes(png(UPLOAD) + bytes(2 << 20))
    out = tmp_path / "answer.json"
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--verbose", "--output", out, f"{url(door)}/images/edits",
               "--form", f"image=@{tmp_path / 'image.png'}", "--form", "keep_box=0,0,32,16", "--form", "seed=7",
               "--form", "class=cat", "--header", "expect: 100-continue"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, out.read_text()
    assert "100 Continue" in told.stderr
    item = json.loads(out.read_text())["data"][0]
    assert (pixels_of(item["b64_json"])[:16] == UPLOAD[:16]).all()
    assert len(item["generated_tokens"]) == PATCH_NUMS[-1] ** 2 and item["class"] == 3


def test_our_own_fields_say_how(door):
    status, _, answer = post(door, {"class": "cat", "seed": 2**64 - 2, "n": 2, "mask_schedule": "none", "return_tokens": True,
                                    "receipt": True, "cfg_scale": 0, "max_scales": 6, "request_id": "mine"})
    assert status == 200
    expected = grpc_images(door, class_name="cat", seed=2**64 - 2, num_images=2, sampling=one_pass(cfg_scale=0, max_scales=6),
                           output=pb.OutputOptions(return_tokens=True))
    for item, image in zip(answer["data"], expected, strict=True):
        assert base64.b64decode(item["b64_json"]) == image.picture.data
        assert item["tokens"] == [list(scale.tokens) for scale in image.tokens]
        assert item["receipt"]["seed"] == str(image.seed) and item["receipt"]["request_id"] == "mine"
        assert (item["scales_run"], item["degraded"]) == (6, False)


def test_a_prefix_and_a_schedule_are_lists(door):
    draft = post(door, {"prompt": "ship", "seed": 7, "return_tokens": True})[2]["data"][0]
    schedule = [[1], [1, 3], [1, 1, 2, 5], [16], [25], [36], [64]]
    status, _, answer = post(door, {"prompt": "ship", "seed": 7, "prefix": draft["tokens"][:4], "mask_schedule": schedule,
                                    "return_tokens": True})
    assert status == 200 and answer["data"][0]["tokens"] == draft["tokens"]


def test_our_own_events_tell_everything(door):
    events = own_events(door, prompt="ship", seed=7, n=2, previews="fast", preview_scales=[2, 4], receipt=True)
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "hmar.accepted" and kinds[-1] == "hmar.completed"
    assert kinds.count("hmar.preview") == 4 and kinds.count("hmar.image") == 2
    accepted, completed = events[0][1], events[-1][1]
    assert accepted["seed"] == "7" and accepted["model"] == "hmar-cifar10" and accepted["estimated_time"] > 0
    assert completed["images"] == 2 and completed["total"] > 0
    previews = [(data["image_index"], data["scale"], data["grid"]) for kind, data in events if kind == "hmar.preview"]
    assert sorted(previews) == [(image, scale, PATCH_NUMS[scale]) for image in (0, 1) for scale in (2, 4)]
    images = {data["image_index"]: data for kind, data in events if kind == "hmar.image"}
    for index, image in enumerate(grpc_images(door, num_images=2)):
        assert base64.b64decode(images[index]["b64_json"]) == image.picture.data
        assert images[index]["receipt"]["model"] == "hmar-cifar10"


def test_a_request_can_only_be_checked(door):
    events = own_events(door, prompt="ship", validate_only=True)
    assert [kind for kind, _ in events] == ["hmar.accepted", "hmar.completed"]
    assert post(door, {"prompt": "ship", "validate_only": True})[2]["data"] == []


def test_a_deadline_ends_a_call(door):
    status, headers, answer = post(door, {"prompt": "ship", "n": 64, "timeout": 0.05})
    assert status == 504 and answer["error"]["reason"] == "DEADLINE_EXCEEDED"
    assert headers["x-should-retry"] == "false"


def test_health_and_readiness_are_open_to_all(door):
    for path in ("/healthz", "/readyz"):
        assert ask(door, "GET", path)[0] == 200


def test_readiness_follows_health(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--http=127.0.0.1:0", "--drain-delay-seconds=600")
    server.wait_until_ready()
    assert ask(server, "GET", "/readyz")[0] == 200
    server.process.terminate()
    server.wait_for_line("not serving")
    assert ask(server, "GET", "/readyz")[0] == 503 and ask(server, "GET", "/healthz")[0] == 200
    assert post(server, {"prompt": "ship"})[0] == 200  # Who has not noticed yet is served.
    server.process.kill()


def test_a_drain_finishes_what_was_accepted(start_server, model_folder):
    server = start_server(f"--model=m={model_folder}", "--http=127.0.0.1:0")
    server.wait_until_ready()
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=120)
    fields = {"prompt": "ship", "n": 32, "seed": 7, "stream": True, "events": "hmar"}
    connection.request("POST", "/v1/images/generations", json.dumps(fields), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.readline() == b"event: hmar.accepted\n"
    server.process.terminate()
    server.wait_for_line("finishing what was accepted")
    status, _, refused = post(server, {"prompt": "ship"})
    assert status == 503 and refused["error"]["reason"] == "DRAINING"
    text = answer.read().decode()
    assert text.count("event: hmar.image\n") == 32 and "event: hmar.completed\n" in text
    assert server.wait_for_exit() == 0


def test_who_leaves_cancels(door):
    connection = http.client.HTTPConnection("127.0.0.1", door.http_port, timeout=60)
    fields = {"prompt": "ship", "n": 64, "stream": True, "events": "hmar", "request_id": "leaves", "mask_schedule": "quality"}
    connection.request("POST", "/v1/images/generations", json.dumps(fields), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.readline() == b"event: hmar.accepted\n"
    answer.close()
    connection.close()
    line = json.loads(door.wait_for_line('"id":"leaves"'))
    assert (line["code"], line["method"]) == ("CANCELLED", "http generations") and line["images_sent"] < 64
    door.wait_until_idle()


def test_the_access_log_and_the_metrics_have_a_call_once(door):
    before = door.metric("hmar_requests_total", code="OK")
    assert post(door, {"prompt": "ship", "n": 2, "request_id": "booked"})[0] == 200
    line = json.loads(door.wait_for_line('"id":"booked"'))
    assert (line["method"], line["code"], line["images"], line["images_sent"]) == ("http generations", "OK", 2, 2)
    assert line["client"].startswith("ipv4:127.0.0.1:")
    assert door.metric("hmar_requests_total", code="OK") == before + 1
    assert post(door, {"prompt": "nothing like it", "request_id": "refused"})[0] == 400
    line = json.loads(door.wait_for_line('"id":"refused"'))
    assert (line["code"], line["reason"]) == ("INVALID_ARGUMENT", "UNKNOWN_CLASS")


def test_connections_stay_open(door):
    connection = http.client.HTTPConnection("127.0.0.1", door.http_port, timeout=60)
    for _ in range(3):
        connection.request("GET", "/v1/models")
        answer = connection.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["object"] == "list"
    local = connection.sock.getsockname()
    connection.request("POST", "/v1/images/generations", json.dumps({"prompt": "no such class"}), {"content-type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == 400 and answer.read() and connection.sock.getsockname() == local
    connection.close()


def test_other_requests_are_told_what_is_wrong(door):
    for method, path, status in [("GET", "/nothing", 404), ("DELETE", "/v1/models", 405), ("GET", "/v1/images/generations", 405),
                                 ("OPTIONS", "/v1/models", 405), ("GET", "/v1/models/../../etc/passwd", 404),
                                 ("BREW", "/", 405)]:
        told, headers, body = ask(door, method, path)
        assert told == status, (method, path)
        assert set(json.loads(body)["error"]) >= {"message", "type", "param", "code"} and headers["x-request-id"]
    assert ask(door, "POST", "/v1/images/generations", "{}", {"content-type": "text/plain"})[0] == 415
    assert ask(door, "POST", "/v1/images/edits", "{}", {"content-type": "application/json"})[0] == 415
    for body in ("", "[]", "{", '{"prompt": "ship"}}', '{"prompt": "ship", "prompt": "cat"}', '"ship"'):
        told, _, answer = ask(door, "POST", "/v1/images/generations", body, {"content-type": "application/json"})
        assert told == 400 and json.loads(answer)["error"]["reason"] == "MESSAGE_INVALID", body


def test_every_answer_has_the_headers_of_a_careful_server(door):
    for path in ("/", "/v1/models", "/nothing"):
        headers = ask(door, "GET", path)[1]
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert "access-control-allow-origin" not in headers and "server" not in headers


def test_the_page_is_kept_until_it_changes(door):
    status, headers, body = ask(door, "GET", "/")
    assert status == 200 and b"<html" in body and headers["content-type"] == "text/html; charset=utf-8"
    status, _, body = ask(door, "GET", "/", headers={"if-none-match": headers["etag"]})
    assert (status, body) == (304, b"")


def test_pages_of_others_may_call_only_if_they_are_let(door, start_server, model_folder):
    other = {"origin": "https://elsewhere.example"}
    status, headers, answer = post(door, {"prompt": "ship"}, **other)
    assert status == 403 and answer["error"]["type"] == "permission_error"
    assert post(door, {"prompt": "ship"}, origin=f"http://127.0.0.1:{door.http_port}")[0] == 200
    server = start_server(f"--model=m={model_folder}", "--http=127.0.0.1:0", "--http-allow-origin=https://elsewhere.example")
    server.wait_until_ready()
    status, headers, _ = ask(server, "OPTIONS", "/v1/images/generations",
                             headers=other | {"access-control-request-method": "POST"})
    assert status == 204 and headers["access-control-allow-origin"] == "https://elsewhere.example"
    assert "POST" in headers["access-control-allow-methods"] and "authorization" in headers["access-control-allow-headers"]
    status, headers, _ = post(server, {"prompt": "ship"}, **other)
    assert status == 200 and headers["access-control-allow-origin"] == "https://elsewhere.example"
    assert post(server, {"prompt": "ship"}, origin="https://third.example")[0] == 403
