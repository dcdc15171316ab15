"""The command line against the real server."""
import json
import re
import subprocess

import numpy as np
import pytest
from PIL import Image

from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import IMAGE_SIZE, PATCH_NUMS, images_of, pixels, request

TOKEN_PIXELS = IMAGE_SIZE // PATCH_NUMS[-1]  # Of a cell of the last grid, a side.
BOX = (8, 8, 24, 24)  # Sixteen cells.


@pytest.fixture
def run_hmar(server, hmar):
    def run(*arguments):
        return subprocess.run([hmar, "--server", server.address, *map(str, arguments)], capture_output=True, text=True,
                              timeout=180)
    return run


@pytest.fixture
def ship(stub, tmp_path):
    """A picture file of the model's size."""
    path = tmp_path / "ship.png"
    path.write_bytes(images_of(stub.Generate(request()))[0].picture.data)
    return path


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def inside(box):
    """True for the pixels of the box."""
    x0, y0, x1, y1 = box
    marked = np.zeros((IMAGE_SIZE, IMAGE_SIZE), bool)
    marked[y0:y1, x0:x1] = True
    return marked


def cells(marked):
    """How many cells of the last grid the marked pixels touch."""
    side = PATCH_NUMS[-1]
    return int(marked.reshape(side, TOKEN_PIXELS, side, TOKEN_PIXELS).any(axis=(1, 3)).sum())


def generated(ended):
    """(generated, all) tokens of the last grid, as `hmar edit` reports them for its first image."""
    return tuple(map(int, re.search(r"\((\d+) of (\d+) tokens generated\)", ended.stderr).groups()))


def comma(box):
    return ",".join(map(str, box))


def tokens_in(path):
    return [image["scales"] for image in json.loads(path.read_text())["images"]]


def test_generate_writes_what_the_server_makes(run_hmar, stub, tmp_path):
    ended = run_hmar("generate", "--class", "ship", "--seed", 7, "--count", 2, "--previews", "full", "--out", tmp_path)
    assert ended.returncode == 0, ended.stderr
    for image in images_of(stub.Generate(request(num_images=2))):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"image-{image.seed}.png")), pixels(image.picture))
    assert len(list(tmp_path.glob("image-7-scale-*.png"))) == len(PATCH_NUMS) - 1
    columns = len(PATCH_NUMS)
    assert Image.open(tmp_path / "sheet.png").size == (4 + 132 * columns, 4 + 132 * 2)


@pytest.mark.parametrize("flags, end, kind", [(("--format", "jpeg", "--quality", 70), "jpg", "JPEG"), (("--format", "webp"), "webp", "WEBP"),
                                              (("--format", "webp", "--lossless"), "webp", "WEBP"), (("--format", "rgb"), "png", "PNG")])
def test_files_have_the_format_asked_for_and_its_end(run_hmar, ship, tmp_path, flags, end, kind):
    ended = run_hmar("generate", "--class", "ship", "--seed", 7, "--previews", "full", "--preview-scales", 5, "--receipt", *flags,
                     "--out", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"image-7.{end}", f"image-7-scale-05.{end}", "image-7.json", "sheet.png"}
    for name in (f"image-7.{end}", f"image-7-scale-05.{end}"):
        assert Image.open(tmp_path / "out" / name).format == kind
    off = abs(read(tmp_path / "out" / f"image-7.{end}").astype(int) - read(ship))
    assert off.mean() < 12
    assert (off.max() == 0) == ("--lossless" in flags or "rgb" in flags)


def test_an_edits_format_follows_its_name_and_its_sheet_shows_the_upload_upright(run_hmar, ship, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.jpg"
    Image.open(ship).transpose(Image.Transpose.ROTATE_90).save(turned, quality=100, subsampling=0, exif=exif)
    out, sheet = tmp_path / "out.webp", tmp_path / "sheet.png"
    ended = run_hmar("edit", "--image", turned, "--box", comma((0, 0, 32, 8)), "--seed", 3, "--lossless", "--out", out, "--sheet", sheet)
    assert ended.returncode == 0, ended.stderr
    assert Image.open(out).format == "WEBP"
    kept = ~inside((0, 0, 32, 8))
    assert abs(read(out).astype(int) - read(ship))[kept].max() < 24  # As good as the JPEG was.
    source = np.asarray(Image.open(sheet).crop((4, 4, 132, 132)).resize((32, 32), Image.Resampling.BOX).convert("RGB")).astype(int)
    assert abs(source - read(ship)).mean() < 6


def test_a_draft_is_continued_from_its_tokens(run_hmar, tmp_path):
    draft, whole = tmp_path / "draft", tmp_path / "whole"
    assert run_hmar("generate", "--class", "cat", "--seed", 5, "--save-tokens", tmp_path / "t.json", "--out",
                    draft).returncode == 0
    assert run_hmar("generate", "--class", "cat", "--seed", 5, "--from-tokens", tmp_path / "t.json", "--scales", 3,
                    "--out", whole).returncode == 0
    assert (draft / "image-5.png").read_bytes() == (whole / "image-5.png").read_bytes()


def test_branches_of_one_image_of_a_tokens_file_share_its_first_scales(run_hmar, tmp_path):
    drafts, branches = tmp_path / "drafts.json", tmp_path / "branches.json"
    assert run_hmar("generate", "--class", "cat", "--seed", 5, "--count", 2, "--save-tokens", drafts, "--out",
                    tmp_path).returncode == 0
    assert run_hmar("generate", "--class", "cat", "--seed", 50, "--count", 3, "--from-tokens", drafts, "--from-image",
                    1, "--scales", 4, "--save-tokens", branches, "--out", tmp_path).returncode == 0
    draft = tokens_in(drafts)[1]
    made = tokens_in(branches)
    assert [branch[:4] for branch in made] == [draft[:4]] * 3
    assert len({json.dumps(branch) for branch in made} | {json.dumps(draft)}) == 4


def test_tokens_that_a_file_lacks_are_told_before_anything_is_sent(run_hmar, tmp_path):
    drafts = tmp_path / "drafts.json"
    assert run_hmar("generate", "--seed", 5, "--save-tokens", drafts, "--out", tmp_path).returncode == 0
    for flags, wanted in [(("--from-image", 1), "no image 1: it holds 1"), (("--scales", 8), "holds 7 scales")]:
        ended = run_hmar("generate", "--from-tokens", drafts, *flags, "--out", tmp_path)
        assert ended.returncode == 2 and f"--from-tokens: {drafts}" in ended.stderr and wanted in ended.stderr


def test_an_edit_keeps_every_pixel_outside_its_box_and_shows_how_it_came_about(run_hmar, ship, tmp_path):
    out, sheet = tmp_path / "out.png", tmp_path / "sheet.png"
    ended = run_hmar("edit", "--image", ship, "--box", comma(BOX), "--class", "cat", "--seed", 3, "--previews", "full",
                     "--out", out, "--sheet", sheet)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == [str(out), str(sheet)]
    box = inside(BOX)
    assert np.array_equal(read(out)[~box], read(ship)[~box])
    assert not np.array_equal(read(out)[box], read(ship)[box])
    assert generated(ended) == (16, 64)
    columns = 2 + len(PATCH_NUMS)  # Source, region, every scale.
    assert Image.open(sheet).size == (4 + 132 * columns, 4 + 132)
    previews = sorted(tmp_path.glob("out-scale-*.png"))
    assert len(previews) == len(PATCH_NUMS) - 1
    for preview in previews:
        assert np.array_equal(read(preview)[~box], read(ship)[~box])


def test_a_ragged_mask_generates_every_cell_it_touches(run_hmar, ship, tmp_path):
    white = np.random.default_rng(5).random((IMAGE_SIZE, IMAGE_SIZE)) < 0.01
    white[20:27, 3:18] = True
    mask, out = tmp_path / "mask.png", tmp_path / "out.png"
    Image.fromarray(np.where(white, 128, 127).astype(np.uint8)).save(mask)
    ended = run_hmar("edit", "--image", ship, "--mask", mask, "--seed", 3, "--out", out)
    assert ended.returncode == 0, ended.stderr
    assert generated(ended) == (cells(white), 64)
    assert np.array_equal(read(out)[~white], read(ship)[~white])
    assert not np.array_equal(read(out)[white], read(ship)[white])


def test_a_keep_box_generates_all_around_it(run_hmar, ship, tmp_path):
    out = tmp_path / "out.png"
    ended = run_hmar("edit", "--image", ship, "--keep-box", comma(BOX), "--seed", 3, "--out", out)
    assert ended.returncode == 0, ended.stderr
    assert generated(ended) == (48, 64)
    box = inside(BOX)
    assert np.array_equal(read(out)[box], read(ship)[box])
    assert not np.array_equal(read(out)[~box], read(ship)[~box])


def test_the_bars_of_a_wide_picture_are_generated(run_hmar, ship, tmp_path):
    wide, out, sheet = tmp_path / "wide.png", tmp_path / "out.png", tmp_path / "sheet.png"
    Image.open(ship).crop((0, 8, 32, 24)).save(wide)
    ended = run_hmar("edit", "--image", wide, "--resize", "contain", "--seed", 3, "--out", out, "--sheet", sheet)
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(read(out)[8:24], read(wide))
    assert generated(ended) == (32, 64)
    assert Image.open(sheet).size == (4 + 132 * (2 + len(PATCH_NUMS)), 4 + 132)


def test_variations_are_a_file_and_a_row_each_and_what_the_api_answers(run_hmar, stub, ship, tmp_path):
    sheet = tmp_path / "sheet.png"
    ended = run_hmar("edit", "--image", ship, "--box", comma(BOX), "--feather", 2, "--class", "cat", "--seed", 3,
                     "--count", 3, "--out", tmp_path / "out.png", "--sheet", sheet)
    assert ended.returncode == 0, ended.stderr
    x0, y0, x1, y1 = BOX
    edit = pb.EditOptions(image=ship.read_bytes(), box=pb.EditOptions.Box(x0=x0, y0=y0, x1=x1, y1=y1), feather=2)
    made = [read(tmp_path / f"out-{seed}.png") for seed in (3, 4, 5)]
    for picture, image in zip(made, images_of(stub.Generate(request("cat", seed=3, num_images=3, edit=edit)))):
        assert np.array_equal(picture, pixels(image.picture))
        assert sum(image.generated_tokens) == 16
    assert len({picture.tobytes() for picture in made}) == 3
    assert Image.open(sheet).size == (4 + 132 * (2 + len(PATCH_NUMS)), 4 + 132 * 3)


def test_without_compositing_the_answer_is_the_decoders_whole_picture(run_hmar, ship, tmp_path):
    composited, whole = tmp_path / "composited.png", tmp_path / "whole.png"
    edit = ("edit", "--image", ship, "--box", comma(BOX), "--seed", 3, "--out")
    assert run_hmar(*edit, composited).returncode == 0
    assert run_hmar(*edit, whole, "--no-composite").returncode == 0
    box = inside(BOX)
    assert np.array_equal(read(whole)[box], read(composited)[box])
    assert not np.array_equal(read(whole)[~box], read(ship)[~box])


def test_an_edit_is_continued_and_branched_off_its_tokens(run_hmar, ship, tmp_path):
    edit = ("edit", "--image", ship, "--box", comma(BOX), "--class", "cat")
    first, branches = tmp_path / "first.json", tmp_path / "branches.json"
    paths = [tmp_path / f"{name}.png" for name in ("first", "same", "other")]
    assert run_hmar(*edit, "--seed", 3, "--save-tokens", first, "--out", paths[0]).returncode == 0
    prefix = ("--from-tokens", first, "--scales", 4)
    assert run_hmar(*edit, "--seed", 3, *prefix, "--out", paths[1]).returncode == 0
    assert run_hmar(*edit, "--seed", 4, *prefix, "--save-tokens", branches, "--out", paths[2]).returncode == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()
    draft, branch = tokens_in(first)[0], tokens_in(branches)[0]
    assert branch[:4] == draft[:4] and branch != draft
    assert run_hmar("generate", "--seed", 4, *prefix, "--out", tmp_path / "free").returncode == 0


def test_what_the_server_refuses_of_an_edit_names_the_field(run_hmar, ship, tmp_path):
    text, small = tmp_path / "text.png", tmp_path / "small.png"
    text.write_text("no PNG")
    Image.open(ship).crop((0, 0, 16, 16)).save(small)
    out = tmp_path / "out.png"
    for flags, field in [(("--image", ship, "--box", "4,4,4,8"), "edit.box"),
                         (("--image", ship, "--keep-box", "0,0,33,8"), "edit.keep_box"),
                         (("--image", ship, "--mask", small), "edit.mask"),
                         (("--image", ship, "--mask", text), "edit.mask"),
                         (("--image", small, "--box", "0,0,8,8"), "edit.image"),
                         (("--image", text, "--box", "0,0,8,8"), "edit.image")]:
        ended = run_hmar("edit", *flags, "--out", out, "--sheet", tmp_path / "sheet.png")
        assert ended.returncode == 1, flags
        assert "INVALID_ARGUMENT" in ended.stderr and field + ":" in ended.stderr
    assert not out.exists()


def test_how_large_an_upload_may_be_is_the_servers_to_say(run_hmar, hmar, start_server, tmp_path):
    noise = np.random.default_rng(5).integers(0, 256, (2500, 2500, 3), np.uint8)
    large, out = tmp_path / "large.png", tmp_path / "out.png"
    Image.fromarray(noise).save(large, compress_level=0)
    assert large.stat().st_size > 16 << 20
    edit = ("edit", "--image", large, "--resize", "cover", "--box", "0,0,1250,2500", "--seed", 3, "--out", out)
    ended = run_hmar(*edit)
    assert ended.returncode == 1
    assert "edit.image" in ended.stderr and "at most 16777216" in ended.stderr
    running = start_server("--max-upload-bytes=20000000")
    running.wait_until_ready()
    ended = subprocess.run([hmar, "--server", running.address, *map(str, edit)], capture_output=True, text=True,
                           timeout=180)
    assert ended.returncode == 0, ended.stderr
    assert read(out).shape == (IMAGE_SIZE, IMAGE_SIZE, 3)


def test_a_refused_request_shows_the_field(run_hmar, tmp_path):
    ended = run_hmar("generate", "--class", "ship", "--top-p", 1.5, "--out", tmp_path)
    assert ended.returncode == 1
    assert "INVALID_ARGUMENT" in ended.stderr and "sampling.top_p" in ended.stderr
    assert "SAMPLING_INVALID" in ended.stderr


def test_models_and_health(run_hmar):
    models = json.loads(run_hmar("models", "--json").stdout)["models"]
    assert [model["name"] for model in models] == ["hmar-cifar10"]
    assert "hmar-cifar10" in run_hmar("models").stdout
    assert run_hmar("health").stdout == "SERVING\n"
