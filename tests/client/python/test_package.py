"""What is in the archives, what a type checker says, and the programs that come along."""
import importlib.util
import os
import shutil
import sys
import tarfile
import zipfile

import pytest
from PIL import Image

from running import PACKAGE, run
from stubs import REPO


def test_the_wheel_has_the_package_its_messages_and_their_types(package):
    names = set(zipfile.ZipFile(package.wheel).namelist())
    assert {"hmar_client/__init__.py", "hmar_client/py.typed", "hmar/v1/image_generation_pb2.py",
            "hmar/v1/image_generation_pb2.pyi", "hmar/v1/py.typed"} <= names
    assert not any(name.startswith(("tests", "examples", "setup")) for name in names)


def test_the_source_archive_needs_no_checkout(package):
    names = {name.partition("/")[2] for name in tarfile.open(package.sdist).getnames()}
    assert {"proto/hmar/v1/image_generation.proto", "VERSION", "README.md", "src/hmar_client/client.py"} <= names


def test_the_version_is_the_projects(package):
    version = package.wheel.name.split("-")[1]
    assert f"VERSION {version} " in (REPO / "CMakeLists.txt").read_text()


@pytest.fixture(scope="module")
def checked(package, tmp_path_factory):
    """The package's sources and the messages that were made for it, side by side."""
    folder = tmp_path_factory.mktemp("checked")
    shutil.copy(PACKAGE / "pyproject.toml", folder)
    for part in ("src", "examples"):
        shutil.copytree(PACKAGE / part, folder / part)
    shutil.copytree(package.site / "hmar", folder / "src" / "hmar", dirs_exist_ok=True)
    return folder


def test_mypy_has_nothing_to_say(checked):
    assert "Success" in run(sys.executable, "-m", "mypy", "--no-incremental", cwd=checked)


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_has_nothing_to_say(checked):
    assert "0 errors" in run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, cwd=checked)


@pytest.fixture
def run_python(package, server, tmp_path):
    """run_python(*arguments): Python beside the installed package, in a folder of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package.site), "HMAR_SERVER": server.address}

    def start(*arguments):
        return run(sys.executable, *arguments, cwd=tmp_path, env=environment)

    return start


@pytest.mark.parametrize("name, size", [("gallery", (920, 1280)), ("inpainting", (640, 128))])
def test_an_example_draws_its_picture(run_python, tmp_path, name, size):
    assert run_python(PACKAGE / "examples" / f"{name}.py") == f"{name}.png\n"
    picture = Image.open(tmp_path / f"{name}.png")
    assert picture.size == size
    assert len(picture.getcolors(maxcolors=1 << 24)) > 100


def test_the_example_of_many_images_saves_them_all(run_python, tmp_path):
    run_python(PACKAGE / "examples" / "many_images.py", "many", "12")
    assert len({path.read_bytes() for path in (tmp_path / "many").glob("*.png")}) == 12


def test_the_command_line(run_python, tmp_path):
    assert run_python("-m", "hmar_client", "health") == "ready\n"
    assert "hmar-cifar10: 32 px, 10 classes" in run_python("-m", "hmar_client", "models")
    assert "\n     8  ship\n" in run_python("-m", "hmar_client", "models", "--classes")
    made = run_python("-m", "hmar_client", "generate", "ship", "--seed", "7", "-n", "2", "--sheet", "sheet.png")
    assert made.splitlines() == ["pictures/image-7.png", "pictures/image-8.png", "sheet.png"]
    run_python("-m", "hmar_client", "edit", "cat", "--image", "pictures/image-7.png", "--box", "8,8,24,24", "--out", "edited")
    assert len(list((tmp_path / "edited").iterdir())) == 1
    with pytest.raises(AssertionError, match="UNKNOWN_CLASS(.|\n)*class_name: "):
        run_python("-m", "hmar_client", "generate", "shp")


def test_three_lines(run_python, tmp_path):
    run_python("-c", "from hmar_client import Client\nclient = Client()\nclient.images('ship')[0].picture.save('ship.png')")
    assert Image.open(tmp_path / "ship.png").size == (32, 32)
