"""Whose the files are, and what the packages bring along that is others'."""
import json
import shutil
import subprocess
import sys

import pytest

from stubs import REPO
from tools import tool

LICENCES = REPO / "deploy" / "licences"


def test_each_file_has_an_owner_and_a_licence(tmp_path):
    listed = subprocess.run(["git", "-C", REPO, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        if (REPO / name).is_file() and not name.startswith("deploy/licences/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).symlink_to(REPO / name) if (REPO / name).stat().st_size > 1 << 20 else shutil.copy(REPO / name, tmp_path / name)
    shutil.copytree(LICENCES, tmp_path, dirs_exist_ok=True)
    linted = subprocess.run([tool("reuse", "LICENCES ARE NOT TESTED"), "--root", tmp_path, "lint"], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.fixture(scope="module")
def bill(build_dir, tmp_path_factory):
    """The bill of materials of an installation, parsed."""
    tool("cyclonedx-py", "THE BILL OF MATERIALS IS NOT TESTED")
    prefix = tmp_path_factory.mktemp("bill") / "usr"
    subprocess.run(["cmake", "--install", build_dir, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    made = subprocess.run([sys.executable, REPO / "deploy" / "package" / "sbom.py", prefix], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return json.loads(made.stdout)


def test_the_bill_names_all_that_the_programs_load(bill):
    names = {component["name"]: component for component in bill["components"]}
    for wanted in ("libgrpc++1.51", "libssl3", "libpng16-16", "libmicrohttpd12", "torch", "nvidia-cuda-cupti", "nvidia-cuda-runtime",
                   "libcli11-dev", "nlohmann-json3-dev", "libtomlplusplus-dev", "libstb-dev"):
        assert wanted in names, sorted(names)
        assert names[wanted]["version"] and names[wanted]["purl"].startswith(("pkg:deb/debian/", "pkg:pypi/"))
    assert bill["metadata"]["component"]["name"] == "hmar-server"
    assert not {"hmar-server", "unknown"} & set(names)
