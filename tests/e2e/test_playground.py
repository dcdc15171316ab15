"""The playground draws, edits and branches through the real server, and what it shows is what the server made."""
import base64
import itertools
import json

import grpc
import numpy as np
import pytest
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc

from playground_browser import WATCH_LABELS, decode, encode
from requests_under_test import IMAGE_SIZE, request

SCALES = 7
PNG = pb.OutputOptions(format=pb.OutputOptions.FORMAT_PNG, png_compression=1, return_tokens=True)


@pytest.fixture(scope="module")
def by_grpc(site):
    """by_grpc(class, seed, **fields): the image that the same server makes over gRPC."""
    with grpc.insecure_channel(site.grpc) as channel:
        stub = image_generation_pb2_grpc.ImageGenerationServiceStub(channel)

        def generate(class_name, seed, **fields):
            call = request(class_name, seed, output=PNG, **fields)
            return stub.GenerateImages(pb.GenerateImagesRequest(request=call)).images[0]

        yield generate


def photo(width=IMAGE_SIZE, height=IMAGE_SIZE, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def pictures_on(page, selector):
    """The pixels of shown pictures."""
    urls = page.locator(selector).evaluate_all("""(images) => images.map((image) => {
      const canvas = Object.assign(document.createElement('canvas'), { width: image.naturalWidth, height: image.naturalHeight });
      canvas.getContext('2d').drawImage(image, 0, 0);
      return canvas.toDataURL();
    })""")
    return [decode(base64.b64decode(url.partition(",")[2])) for url in urls]


def test_pictures_grow_scale_by_scale(playground, by_grpc, screenshot, capsys):
    playground.page.evaluate(WATCH_LABELS)
    run = playground.draw("ship", seed=7, count=3)
    labels = playground.page.evaluate("window.labels")
    for i, picture in enumerate(run.locator(".tile").all()):
        title = f"ship, seed {7 + i}"
        grown = [old for old in labels if old.startswith(f"{title}:")]
        assert [label for label, _ in itertools.groupby(grown)] == [
            f"{title}: waiting", *(f"{title}: scale {scale} of {SCALES}" for scale in range(1, SCALES))]
        assert picture.locator("button").get_attribute("aria-label") == f"{title}: open"
        assert playground.saved(picture.locator("a")) == by_grpc("ship", 7 + i).picture.data
    screenshot(playground, "drawn")
    measures = playground.page.evaluate("performance.getEntriesByName('hmar-first-preview').map((entry) => entry.duration)")
    with capsys.disabled():
        print(f"\nfirst preview on the page after {measures[0]:.0f} ms")


def test_previews_that_come_faster_than_they_can_be_shown_are_not_all_left_out(playground):
    pictures = [base64.b64encode(encode(photo(seed=i))).decode() for i in range(40)]
    shown = playground.page.evaluate("""async (pictures) => {
      const { showPicture } = await import('/tile.js');
      const { pictureOf } = await import('/pictures.js');
      const img = new Image();
      let shown = 0;
      img.addEventListener('shown', () => { shown += 1; });
      const all = pictures.map((b64_json) => pictureOf({ b64_json, width: 32, height: 32 }, 'picture'));
      const calls = [];
      for (const picture of all) {
        calls.push(showPicture(img, picture));
        await new Promise((resolve) => { setTimeout(resolve); });
      }
      await Promise.all(calls);
      return [shown, img.src === all.at(-1).url];
    }""", pictures)
    assert shown[0] > 1 and shown[1]


def test_settings_reach_the_server_and_come_back(playground, by_grpc):
    playground.page.select_option("#schedule", "none")
    run = playground.draw("8", seed=2**64 - 1, cfg_scale=1.5, top_k=50, top_p=0.9, temperature=1.1, max_scales=5)
    sampling = pb.SamplingParams(cfg_scale=1.5, top_k=50, top_p=0.9, temperature=1.1, max_scales=5,
                                 mask_schedule=pb.MaskSchedule(preset=pb.MaskSchedule.PRESET_NONE))
    assert playground.saved(run.locator(".tile a")) == by_grpc("ship", 2**64 - 1, sampling=sampling).picture.data
    playground.fill(top_k=3, **{"class": "dog"})
    run.get_by_role("button", name="Reuse settings").click()
    assert playground.page.input_value("#top_k") == "50"
    assert playground.page.input_value("#class") == "8"
    assert playground.page.input_value("#seed") == str(2**64 - 1)


def test_a_box_is_edited_and_the_rest_is_untouched(playground, screenshot):
    playground.draw("horse", seed=3)
    playground.open_first()
    source = decode(playground.on_stage())
    playground.drag((4, 6), (20, 14))
    values = [playground.page.input_value(f"#{corner}") for corner in ("x0", "y0", "x1", "y1")]
    assert values == ["4", "6", "20", "14"] or values == ["4", "6", "21", "15"]  # Half a pixel is the mouse's.
    playground.page.fill("#x1", "24")
    region = playground.region()
    assert region.sum() == 20 * (int(values[3]) - 6) and region[6, 23]
    playground.generate()
    result = decode(playground.on_stage())
    assert np.array_equal(result[~region], source[~region]) and not np.array_equal(result[region], source[region])
    expected = f"All {(~region).sum()} pixels outside the region are the source’s own."
    assert playground.page.wait_for_selector("#stage-note:not(:empty)").text_content() == expected
    screenshot(playground, "edited")
    playground.page.click("#show-source")
    assert np.array_equal(decode(playground.on_stage()), source)


def test_a_mask_is_edited_and_the_rest_is_untouched(playground, screenshot):
    playground.draw("deer", seed=4)
    playground.open_first()
    source = decode(playground.on_stage())
    playground.page.get_by_text("Brush", exact=True).click()
    playground.drag((8, 8), (24, 10), (16, 24))
    playground.drag((2, 29), (4, 29))
    painted = playground.region().sum()
    playground.page.get_by_text("Eraser", exact=True).click()
    playground.drag((16, 8), (20, 24))
    erased = playground.region().sum()
    assert 0 < erased < painted
    playground.page.click("#undo")
    assert playground.region().sum() == painted
    region = playground.region()
    screenshot(playground, "mask")
    playground.page.fill("#edit-count", "2")
    playground.generate()
    for picture in playground.page.locator("#bench-runs .tile a").all():
        result = decode(playground.saved(picture))
        assert np.array_equal(result[~region], source[~region]) and not np.array_equal(result[region], source[region])


@pytest.mark.parametrize("tool", ["Box", "Brush"])
def test_all_but_the_region_is_generated(playground, tool):
    playground.draw("truck", seed=5)
    playground.open_first()
    source = decode(playground.on_stage())
    playground.page.get_by_text(tool, exact=True).click()
    playground.drag((8, 8), (24, 24))
    playground.page.get_by_text("Outside", exact=True).click()
    kept = playground.region()
    playground.generate()
    result = decode(playground.on_stage())
    assert np.array_equal(result[kept], source[kept]) and not np.array_equal(result[~kept], source[~kept])


def test_nothing_painted_is_said_and_not_sent(playground):
    playground.draw()
    playground.open_first()
    playground.page.get_by_text("Brush", exact=True).click()
    playground.page.click("#panel-edit .primary")
    playground.page.get_by_text("Nothing is painted yet").first.wait_for()
    assert playground.page.locator("#bench-runs article").count() == 0


def test_branches_begin_with_the_scales_that_are_kept(playground, by_grpc, screenshot):
    playground.draw("horse", seed=7)
    playground.open_first()
    parent = pictures_on(playground.page, "#strip img")
    playground.page.click("#tab-branch")
    playground.page.fill("#keep", "4")
    assert np.array_equal(pictures_on(playground.page, "#stage-picture")[0], parent[3]), "the slider shows what it keeps"
    playground.page.fill("#branch-seed", "21")
    playground.page.fill("#branch-count", "2")
    playground.generate("branch")
    screenshot(playground, "branches")
    prefix = pb.ScalePrefix(tokens=by_grpc("horse", 7).tokens[:4])
    for i, picture in enumerate(playground.page.locator("#bench-runs .tile a").all()):
        assert playground.saved(picture) == by_grpc("horse", 21 + i, prefix=prefix).picture.data


def test_one_goes_on_from_a_result(playground):
    playground.draw("cat", seed=1)
    playground.open_first()
    playground.generate()
    result = playground.on_stage()
    playground.page.click("#continue")
    assert playground.page.text_content("#workbench-title").startswith("Edit, seed")
    assert playground.on_stage() == result
    playground.generate()
    assert playground.on_stage() != result


def test_a_dropped_picture_is_edited(playground):
    source = photo()
    playground.drop(encode(source), "mine.png", "image/png")
    playground.page.wait_for_selector("#workbench[open]")
    assert playground.page.text_content("#workbench-title") == "mine.png"
    assert [tab.text_content() for tab in playground.page.locator("[role=tab]").all() if tab.is_visible()] == ["Edit"]
    region = playground.region()
    playground.generate()
    result = decode(playground.on_stage())
    assert np.array_equal(result[~region], source[~region]) and not np.array_equal(result[region], source[region])
    playground.page.click("#tab-receipt")
    rows = playground.page.locator("#panel-receipt tbody tr").all_text_contents()
    assert 0 < len(rows) < SCALES and rows[-1].startswith("78 × 8"), "scales at which all is kept cost nothing"


def test_a_picture_of_another_shape_is_fitted(playground):
    playground.page.set_input_files("#upload", {"name": "wide.png", "mimeType": "image/png", "buffer": encode(photo(60, 30))})
    playground.page.wait_for_selector("#workbench[open]")
    assert playground.region().shape == (30, 60)
    for way in ("contain", "cover"):
        playground.page.select_option("#resize", way)
        playground.generate()
        assert decode(playground.on_stage()).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_jpeg_and_webp_are_opened_whatever_their_names(playground, kind):
    playground.drop(encode(photo(40, 20), kind), "picture", "")
    playground.page.wait_for_selector("#workbench[open]")
    assert playground.region().shape == (20, 40)


def test_a_large_picture_is_reduced(playground):
    playground.drop(encode(np.zeros((100, 4096, 3), np.uint8)), "long.png", "image/png")
    playground.page.wait_for_selector("#workbench[open]")
    assert playground.region().shape == (50, 2048)
    assert playground.page.text_content("#workbench-title") == "long-2048x50.png"


@pytest.mark.parametrize("data, sentence", [
    (b"GIF89a" + bytes(100), "notes.txt is no picture that can be edited: choose a PNG, JPEG or WebP."),
    (b"\x89PNG\r\n\x1a\n" + bytes(100), "notes.txt is damaged, or too large to be read: choose another picture."),
])
def test_a_file_that_is_no_picture_gets_a_sentence(playground, data, sentence):
    playground.drop(data, "notes.txt", "image/png")
    assert playground.page.wait_for_selector("#notices [role=alert]").text_content() == sentence


def test_a_cancelled_run_leaves_the_server(playground, site):
    playground.page.select_option("#schedule", "quality")
    playground.fill(**{"class": "frog"}, count=64)
    playground.page.click("#draw-button")
    playground.page.get_by_role("button", name="Cancel").click()
    status = playground.finished("#runs > article:first-child", "cancelled").locator(".status").text_content()
    assert status.startswith("Cancelled: ") and status.endswith(" of 64 pictures.")
    if site.server:
        site.server.wait_until_idle()
    playground.draw("frog", seed=1)


def test_what_was_drawn_is_kept_until_it_is_removed(playground):
    playground.draw("bird", count=2)
    playground.draw("ship")
    assert playground.page.locator("#runs h3").all_text_contents() == ["ship", "bird"]
    playground.page.get_by_role("button", name="Remove: ship").click()
    assert playground.page.locator("#runs h3").all_text_contents() == ["bird"]
    playground.page.get_by_role("button", name="Clear all").click()
    assert playground.page.locator("#runs h3").count() == 0
    assert playground.page.is_visible("#empty")


def test_again_draws_others_where_no_seed_was_asked_for(playground):
    first = playground.saved(playground.draw("bird", seed="").locator(".tile a"))
    playground.page.get_by_role("button", name="Again").click()
    playground.page.locator("#runs > article[data-state=done]").nth(1).wait_for()
    assert playground.saved(playground.page.locator("#runs .tile a").first) != first


def test_the_receipt_is_the_servers(playground):
    playground.draw("ship", seed=9)
    playground.open_first()
    playground.page.click("#tab-receipt")
    playground.page.click("#panel-receipt summary")
    receipt = json.loads(playground.page.text_content("#panel-receipt pre"))
    assert receipt["seed"] == "9" and len(receipt["scales"]) == SCALES
    rows = playground.page.locator("#panel-receipt tbody tr").all_text_contents()
    assert len(rows) == SCALES and rows[-1].startswith("78 × 8")
