"""What the attacks share. Everything else is as in e2e/: the fixtures of tests/conftest.py, and its helpers."""
import pytest


@pytest.fixture
def scale(request):
    """How many times longer than in tests/run.sh an attack is."""
    return request.config.getoption("--attack-scale")


@pytest.fixture
def victim(start_server, model_folder):
    """victim(*flags): a ready server of the test's own, warm: it has made an image. It must serve one afterwards, too.

    On one thread: the attacker needs a core of its own.
    """
    from requests_under_test import images_of, request as image_request  # Needs the stubs, which are made later.

    servers = []

    def start(*flags):
        server = start_server(f"--model=m={model_folder}", "--threads=1", *flags)
        servers.append(server)
        server.wait_until_ready()
        assert images_of(server.stub().Generate(image_request()))
        return server

    yield start
    for server in servers:
        assert images_of(server.stub().Generate(image_request(), wait_for_ready=True, timeout=60))
