"""buf on the API: laid out as it should be, and nothing in it that a released client would not understand. Neither needs the network."""
import os
import shutil
import subprocess

import pytest

from stubs import REPO
from tools import tool

PROTO = REPO / "proto"
RELEASED = PROTO / "released.binpb"
API = "hmar/v1/image_generation.proto"


@pytest.fixture(scope="session")
def buf(tmp_path_factory):
    """buf(*arguments): its exit code and what it says. It gets no network: its proxy is a port that nobody listens on."""
    program = tool("buf", "the API is not held against its last release")
    nowhere = "http://127.0.0.1:9"
    environment = {**os.environ, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "BUF_CACHE_DIR": str(tmp_path_factory.mktemp("buf"))}

    def run(*arguments):
        ended = subprocess.run([program, *map(str, arguments)], check=False, capture_output=True, text=True, env=environment,
                               timeout=120)
        return ended.returncode, ended.stdout + ended.stderr
    return run


@pytest.fixture
def changed(tmp_path):
    """changed(old, new): the folder of an API in which `old` is `new`."""
    def change(old, new):
        folder = shutil.copytree(PROTO, tmp_path / "proto")
        text = (folder / API).read_text()
        assert text.count(old) == 1
        (folder / API).write_text(text.replace(old, new))
        return folder
    return change


def test_the_api_is_laid_out_as_buf_wants_it(buf):
    assert buf("lint", PROTO) == (0, "")


def test_nothing_of_the_last_release_is_broken(buf):
    assert buf("breaking", PROTO, "--against", RELEASED) == (0, "")


@pytest.mark.parametrize("old, new, said", [
    ("optional float temperature = 4;", "optional float temperature = 7;", '"temperature" on message "SamplingParams" was deleted'),
    ("  uint32 num_images = 5;", "  uint64 num_images = 5;", '"num_images" on message "GenerateRequest" changed type'),
    ("  bool lossy = 5;", "  bool lossless = 5;", 'changed name from "lossy" to "lossless"'),
    ("returns (stream GenerateResponse)", "returns (GenerateResponse)", 'RPC "Generate"'),
    ("    FORMAT_WEBP = 4;", "    FORMAT_WEBP = 5;", 'enum value "4"'),
])
def test_a_break_is_found(buf, changed, old, new, said):
    code, output = buf("breaking", changed(old, new), "--against", RELEASED)
    assert code != 0 and said.lower() in output.lower()


def test_a_new_field_breaks_nothing(buf, changed):
    folder = changed("  bool validate_only = 13;", "  bool validate_only = 13;\n  bool newer = 14;")
    assert buf("breaking", folder, "--against", RELEASED) == (0, "")
    assert buf("lint", folder) == (0, "")
