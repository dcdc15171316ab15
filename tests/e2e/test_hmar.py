"""The command line against the real server."""
import json
import subprocess

import numpy as np
import pytest
from PIL import Image

from requests_under_test import PATCH_NUMS, images_of, pixels, request


@pytest.fixture
def run_hmar(server, hmar):
    def run(*arguments):
        return subprocess.run([hmar, "--server", server.address, *map(str, arguments)], capture_output=True, text=True,
                              timeout=180)
    return run


def test_generate_writes_what_the_server_makes(run_hmar, stub, tmp_path):
    ended = run_hmar("generate", "--class", "ship", "--seed", 7, "--count", 2, "--previews", "full", "--out", tmp_path)
    assert ended.returncode == 0, ended.stderr
    for image in images_of(stub.Generate(request(num_images=2))):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"image-{image.seed}.png")), pixels(image.picture))
    assert len(list(tmp_path.glob("image-7-scale-*.png"))) == len(PATCH_NUMS) - 1
    columns = len(PATCH_NUMS)
    assert Image.open(tmp_path / "sheet.png").size == (4 + 132 * columns, 4 + 132 * 2)


def test_a_draft_is_continued_from_its_tokens(run_hmar, tmp_path):
    draft, whole = tmp_path / "draft", tmp_path / "whole"
    assert run_hmar("generate", "--class", "cat", "--seed", 5, "--save-tokens", tmp_path / "t.json", "--out",
                    draft).returncode == 0
    assert run_hmar("generate", "--class", "cat", "--seed", 5, "--from-tokens", tmp_path / "t.json", "--scales", 3,
                    "--out", whole).returncode == 0
    assert (draft / "image-5.png").read_bytes() == (whole / "image-5.png").read_bytes()


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
