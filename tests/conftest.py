"""Fixtures of e2e/, hostile/, monitoring/ and deploy/: stubs made from proto/, and real servers on free ports. A client that is not ours:
Python's grpcio."""
import pathlib
import shutil
import sys
import tempfile

import pytest

REPO = pathlib.Path(__file__).resolve().parents[1]
for folder in ("e2e", "hostile", "monitoring", "deploy"):
    sys.path.insert(0, str(REPO / "tests" / folder))


def pytest_addoption(parser):
    parser.addoption("--build-dir", default=str(REPO / "build"), help="where server/hmar-server and client/hmar are")
    parser.addoption("--screenshots", help="folder for the screenshots of the playground; default: each test's own")
    parser.addoption("--attack-scale", type=int, default=1, help="how many times longer the attacks of tests/hostile are")


def pytest_configure(config):
    """Makes the stubs before any test module imports them."""
    import stubs

    folder = pathlib.Path(tempfile.mkdtemp(prefix="hmar-stubs-"))
    config.add_cleanup(lambda: shutil.rmtree(folder))
    stubs.make(folder)


@pytest.fixture(scope="session")
def build_dir(request):
    return pathlib.Path(request.config.getoption("--build-dir")).resolve()


@pytest.fixture(scope="session")
def hmar_server(build_dir):
    program = build_dir / "server" / "hmar-server"
    assert program.exists(), f"no {program}: build it first (tests/run.sh does)"
    return program


@pytest.fixture(scope="session")
def hmar(build_dir):
    return build_dir / "client" / "hmar"


@pytest.fixture(scope="session")
def model_folder():
    return REPO / "deploy" / "models" / "hmar-cifar10"


@pytest.fixture(scope="session")
def server(hmar_server, model_folder, tmp_path_factory):
    """One server with the bundled model, for every test that leaves it as it was."""
    from server_process import ServerProcess

    with ServerProcess(hmar_server, [f"--model=hmar-cifar10={model_folder}"],
                       tmp_path_factory.mktemp("server")) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def start_server(hmar_server, tmp_path):
    """start_server(*flags, stdout=None): a server of the test's own, stopped after it."""
    from server_process import ServerProcess

    started = []

    def start(*flags, stdout=None):
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        started.append(ServerProcess(hmar_server, list(flags), folder, stdout))
        return started[-1]

    yield start
    for process in started:
        process.stop()


TWO_GPUS = ("--device=cuda:0,cuda:2", "--max-images-in-flight=4")


@pytest.fixture
def start_on_gpus(hmar_server, build_dir, model_folder, tmp_path):
    """start_on_gpus(*flags, device=...): a server of the test's own with the fake libhmar_cuda.so, which lies where an
    installed one would."""
    from server_process import ServerProcess

    for folder in ("bin", "lib"):
        (tmp_path / folder).mkdir()
    shutil.copy(build_dir / "tests" / "fakes" / "lib" / "libhmar_cuda.so", tmp_path / "lib")
    program = shutil.copy(hmar_server, tmp_path / "bin" / "hmar-server")
    started = []

    def start(*flags, device=TWO_GPUS):
        started.append(ServerProcess(program, [f"--model=m={model_folder}", *device, *flags], tmp_path))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def stub(server):
    return server.stub()
