"""The package hmar-client as its users get it: a source archive, the wheel made of that, installed into a folder."""
import importlib
import pathlib
import sys
import types

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from running import PACKAGE, run  # noqa: E402


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """.sdist, .wheel: files; .site: the folder that it is installed in."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, PACKAGE)
    (sdist,), (wheel,) = dist.glob("*.tar.gz"), dist.glob("*.whl")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel)
    return types.SimpleNamespace(sdist=sdist, wheel=wheel, site=site)


@pytest.fixture(scope="session")
def hmar_client(package):
    sys.path.insert(0, str(package.site))
    return importlib.import_module("hmar_client")


@pytest.fixture
def client(hmar_client, server):
    with hmar_client.Client(server.address) as connected:
        yield connected
