"""hmar_client against the real server."""
import asyncio
import signal
import threading

import numpy as np
import pytest
import trustme
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from keys_file import Keys
from requests_under_test import images_of, request


def test_images_are_the_servers_bytes(client, server):
    pictures = client.images("ship", seed=7, n=2)
    expected = images_of(server.stub().Generate(request(num_images=2)))
    assert [image.data for image in pictures] == [image.picture.data for image in expected]
    assert [image.seed for image in pictures] == [7, 8]
    assert pictures[0].picture.size == (32, 32)
    assert pictures[0].receipt.model == "hmar-cifar10"
    assert pictures[0].receipt.device_seconds > 0
    assert pictures[0].tokens == ()


def test_a_class_has_a_name_and_a_number(client):
    model = client.model()
    by_name, by_number = (client.images(target, seed=1, schedule="none")[0].data for target in ("ship", model.classes.index("ship")))
    assert by_name == by_number
    assert model.class_aliases == ((),) * 10
    assert client.price("SHIP", seed=1).seed == client.price("8", seed=1).seed == 1
    assert client.images(seed=1, schedule="none")[0].data != by_name
    with pytest.raises(TypeError):
        client.images(True)


def test_events_come_in_order(client, hmar_client):
    events = list(client.generate("ship", seed=7, previews="fast"))
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["Accepted", *["Preview"] * 6, "Image", "Completed"]
    assert [event.scale for event in events[1:-2]] == list(range(6))
    assert all(event.picture.size == (event.message.width, event.message.height) for event in events[1:-1])
    assert isinstance(events[0], hmar_client.Accepted) and events[0].seed == 7


def test_progress_rises_to_one_and_shows_previews(client):
    seen = []
    pictures = client.images("ship", n=2, progress=seen.append)
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions) and fractions[-1] == 1
    assert [progress.done for progress in seen][-1] == 2
    assert len(pictures.previews) == 12
    assert pictures.sheet().size == (7 * 132 - 4, 2 * 132 - 4)
    assert pictures._repr_png_().startswith(b"\x89PNG")


def test_pictures_may_be_sent_in_any_form(client, tmp_path):
    picture = client.images("ship", seed=7)[0].picture
    path = tmp_path / "ship.png"
    picture.save(path)
    edits = [client.edit(source, "cat", box=(8, 8, 24, 24), seed=1)[0].data
             for source in (picture, np.asarray(picture), path, str(path), path.read_bytes())]
    assert len(set(edits)) == 1
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    by_mask = [client.edit(picture, "cat", mask=each, seed=1)[0].data for each in (mask, Image.fromarray(mask.astype(np.uint8) * 255))]
    assert by_mask[0] == by_mask[1]
    inside, outside = np.asarray(client.edit(picture, "cat", mask=mask, seed=1)[0].picture), np.asarray(picture)
    assert (inside[~mask] == outside[~mask]).all() and (inside[mask] != outside[mask]).any()
    with pytest.raises(ValueError, match="exclude each other"):
        client.edit(picture, box=(0, 0, 1, 1), mask=mask)
    with pytest.raises(ValueError, match="no picture"):
        client.edit(np.zeros((4, 4, 2), np.uint8))


@pytest.mark.parametrize("options, kind, extension, lossy", [
    ({"format": "png"}, "PNG", ".png", False), ({"format": "jpeg"}, "JPEG", ".jpg", True),
    ({"format": "webp", "quality": 70}, "WEBP", ".webp", True), ({"format": "webp", "lossless": True}, "WEBP", ".webp", False)])
def test_pictures_come_in_the_format_asked_for(client, options, kind, extension, lossy):
    exact = np.asarray(client.images("ship", seed=7)[0].picture).astype(int)
    pictures = client.images("ship", seed=7, previews="full", preview_scales=[5], embed_receipt=True, **options)
    for each in (pictures[0], pictures.previews[0]):
        assert (each.picture.format, each.extension, each.lossy) == (kind, extension, lossy)
    off = abs(np.asarray(pictures[0].picture) - exact)
    assert off.mean() < 12 and (off.max() > 0) == lossy
    assert b"hmar" in pictures[0].data and pictures[0].receipt.message.request.output.embed_receipt


def test_a_branch_begins_as_its_image(client):
    image = client.images("ship", seed=7, tokens=True)[0]
    (branch, other) = client.branch(image, scales=4, seed=7, n=2, tokens=True)
    assert branch.data == image.data
    assert other.tokens[:4] == image.tokens[:4] and other.tokens != image.tokens
    with pytest.raises(ValueError, match="1 to 7"):
        client.branch(image, scales=8)
    with pytest.raises(ValueError, match="tokens=True"):
        client.branch(client.images("ship")[0], scales=4)


def test_a_price_runs_nothing(client, server):
    done = server.metric("hmar_images_total", outcome="done")
    accepted = client.price("ship", n=4)
    assert accepted.estimated_seconds > 0
    assert server.metric("hmar_images_total", outcome="done") == done


def test_failures_say_why(client, hmar_client):
    with pytest.raises(hmar_client.InvalidRequest) as caught:
        client.images("shp", cfg_scale=-1)
    assert {violation.field for violation in caught.value.violations} == {"class_name", "sampling.cfg_scale"}
    assert caught.value.request_id
    assert 'the nearest are "ship", ' in str(caught.value.violations)
    with pytest.raises(hmar_client.NotFound) as caught:
        client.images(model="nope")
    assert caught.value.reason == "MODEL_NOT_FOUND"
    with pytest.raises(hmar_client.DeadlineExceeded):
        client.images("ship", n=16, timeout=0.05)
    for wrong in ({"schedule": "fast"}, {"previews": "some"}):
        with pytest.raises(ValueError):
            client.images("ship", **wrong)


def cancelled(server):
    return server.metric("hmar_requests_total", code="CANCELLED")


def test_dropping_the_iterator_cancels_the_call(client, server):
    before = cancelled(server)
    events = client.generate("ship", n=16)
    next(events)
    del events
    server.wait_for_metric(lambda count: count == before + 1, "hmar_requests_total", code="CANCELLED")
    server.wait_until_idle()


def test_nobody_there(hmar_client):
    with hmar_client.Client("127.0.0.1:1", retry=hmar_client.NO_RETRIES) as client:
        assert client.health() is False
        with pytest.raises(hmar_client.Unavailable):
            client.models()


def test_the_address_may_come_from_the_environment(hmar_client, server, monkeypatch):
    monkeypatch.setenv("HMAR_SERVER", server.address)
    monkeypatch.setenv("HMAR_KEY", "secret")
    with hmar_client.Client() as client:
        assert client.health()
    assert "secret" not in repr(hmar_client.Connection())
    assert hmar_client.Connection().metadata() == (("authorization", "Bearer secret"),)


def test_a_call_outlives_its_server(hmar_client, client, start_server, model_folder):
    """Killed after the first image; the next one on the same port finishes the call, and nothing comes twice."""
    expected = [image.data for image in client.images("ship", seed=7, n=8)]
    flags = [f"--model=hmar-cifar10={model_folder}", "--max-images-in-flight=2"]
    first = start_server(*flags)
    first.wait_until_ready()
    came = []
    with hmar_client.Client(first.address) as other:
        for event in other.generate("ship", seed=7, n=8):
            if not isinstance(event, hmar_client.Image):
                continue
            came.append(event)
            if len(came) == 1:
                first.process.send_signal(signal.SIGKILL)
                first.process.wait()
                start_server(*flags, f"--listen={first.address}")
    assert sorted(image.image_index for image in came) == list(range(8))
    assert [image.data for image in sorted(came, key=lambda image: image.image_index)] == expected


def test_tls_with_an_authority_of_ones_own(hmar_client, start_server, model_folder, tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    server = start_server(f"--model=m={model_folder}", f"--tls-cert={tmp_path / 'cert.pem'}", f"--tls-key={tmp_path / 'key.pem'}")
    server.wait_for_line("ready")
    address = f"localhost:{server.port}"

    async def ask():
        async with hmar_client.AsyncClient(address, ca=tmp_path / "ca.pem") as client:
            return await client.health()

    assert asyncio.run(ask())
    with hmar_client.Client(address, ca=tmp_path / "ca.pem") as client:
        assert client.models()[0].name == "m"
    with hmar_client.Client(address, tls=True, retry=hmar_client.NO_RETRIES) as client, pytest.raises(hmar_client.Unavailable):
        client.models()


def test_a_key_goes_with_every_call(hmar_client, hmar, start_server, model_folder, tmp_path, monkeypatch):
    keys = Keys(hmar, tmp_path / "keys.toml").add("alice", "--images-per-minute=2").write()
    server = start_server(f"--model=m={model_folder}", f"--keys={keys.file}")
    server.wait_for_line("ready")
    monkeypatch.delenv("HMAR_KEY", raising=False)
    with hmar_client.Client(server.address) as client:
        for call in (client.models, lambda: client.images("ship")):
            with pytest.raises(hmar_client.Unauthenticated) as raised:
                call()
            assert raised.value.reason == "KEY_MISSING"
        assert client.health()
    with hmar_client.Client(server.address, key=keys.keys["alice"], retry=hmar_client.NO_RETRIES) as client:
        assert client.models()[0].name == "m"
        assert len(client.images("ship", n=2, schedule="none")) == 2
        with pytest.raises(hmar_client.Overloaded) as raised:
            client.images("ship", n=2, schedule="none")
        assert raised.value.reason == "QUOTA_IMAGES" and 0 < raised.value.retry_after <= 60
    monkeypatch.setenv("HMAR_KEY", keys.keys["alice"])

    async def ask():
        async with hmar_client.AsyncClient(server.address) as client:
            return await client.models()

    assert asyncio.run(ask())[0].name == "m"


def test_threads_share_a_client(client):
    images = {}

    def make(seed):
        images[seed] = client.images("ship", seed=seed, schedule="none")[0].data

    threads = [threading.Thread(target=make, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(images.values())) == 8


def test_asyncio_makes_the_same_images(hmar_client, client, server):
    async def make():
        async with hmar_client.AsyncClient(server.address) as other:
            assert await other.health()
            assert (await other.model()).name == (await other.models())[0].name
            assert (await other.price("ship")).estimated_seconds > 0
            pictures, events = await asyncio.gather(other.images("ship", seed=7, tokens=True), listed(other))
            edit = await other.edit(pictures[0].picture, "cat", box=(8, 8, 24, 24), seed=1)
            branch = await other.branch(pictures[0], 4, seed=7)
            with pytest.raises(hmar_client.InvalidRequest):
                await other.images("shp")
            return pictures[0].data, events, edit[0].data, branch[0].data

    async def listed(other):
        return [type(event).__name__ async for event in other.generate("cat", previews="fast")]

    image, events, edit, branch = asyncio.run(make())
    picture = client.images("ship", seed=7)[0]
    assert image == picture.data == branch
    assert events == ["Accepted", *["Preview"] * 6, "Image", "Completed"]
    assert edit == client.edit(picture.picture, "cat", box=(8, 8, 24, 24), seed=1)[0].data


def test_a_cancelled_task_cancels_its_call(hmar_client, server):
    before = cancelled(server)

    async def make():
        async with hmar_client.AsyncClient(server.address) as other:
            started = asyncio.Event()
            task = asyncio.create_task(other.images("ship", n=16, progress=lambda _: started.set()))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.wait_for_metric, lambda count: count == before + 1, "hmar_requests_total",
                                    code="CANCELLED")

    asyncio.run(make())


def test_a_request_has_what_its_options_say(hmar_client):
    from hmar_client.requests import make_request

    made = make_request(3, {"seed": 5, "n": 2, "cfg_scale": 1.5, "top_k": 9, "top_p": 0.5, "temperature": 0.75, "max_scales": 4,
                            "schedule": [[1], [2, 2]], "previews": "full", "preview_scales": [1], "format": "rgb",
                            "png_compression": 0, "quality": 70, "lossless": True, "embed_receipt": True,
                            "tokens": True, "receipt_in_png": True, "prefix": ((1,), (2, 3, 4, 5)),
                            "priority": -3, "on_deadline": "degrade", "request_id": "x", "model": "m"})
    assert made == pb.GenerateRequest(
        model="m", class_id=3, seed=5, num_images=2, request_id="x",
        sampling=pb.SamplingParams(cfg_scale=1.5, top_k=9, top_p=0.5, temperature=0.75, max_scales=4, mask_schedule=pb.MaskSchedule(
            scales=[pb.MaskSchedule.Scale(tokens=[1]), pb.MaskSchedule.Scale(tokens=[2, 2])])),
        previews=pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FULL, scales=[1]),
        output=pb.OutputOptions(format=pb.OutputOptions.FORMAT_RGB8, png_compression=0, quality=70, lossless=True,
                                embed_receipt=True, return_tokens=True, receipt_in_png=True),
        prefix=pb.ScalePrefix(tokens=[pb.ScaleTokens(tokens=[1]), pb.ScaleTokens(tokens=[2, 3, 4, 5])]),
        scheduling=pb.Scheduling(priority=-3, on_deadline=pb.Scheduling.ON_DEADLINE_DEGRADE))
