"""Fixtures of the tests in a browser."""
import pytest

import playground_browser


@pytest.fixture(scope="session")
def site(hmar_server, model_folder, tmp_path_factory):
    """A server with a page. One that runs already may be named by HMAR_PAGE_URL, to work on the page."""
    playground_browser.playwright_or_skip()  # Before a server is started for nothing.
    given = playground_browser.site_from_environment()
    if given:
        yield given
        return
    from server_process import ServerProcess  # Its stubs are made after this file is read.

    flags = [f"--model=hmar-cifar10={model_folder}", "--http=127.0.0.1:0"]
    with ServerProcess(hmar_server, flags, tmp_path_factory.mktemp("page")) as server:
        server.wait_until_ready()
        yield playground_browser.Site(f"http://127.0.0.1:{server.http_port}", server.address, server)


@pytest.fixture(scope="module")
def browser():
    """Of a module, not of the session: while playwright runs, asyncio is its own in this thread."""
    with playground_browser.playwright_or_skip()() as playwright:
        chromium = playground_browser.launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, site):
    """visit(**context): an open Playground in a context of its own, of the shared site unless `at` is another; in the end none
    of them may have had trouble."""
    visits = []

    def start(width=1200, height=860, at=site, asks_for_key=False, **context):
        page = browser.new_context(viewport={"width": width, "height": height}, **context).new_page()
        visits.append(playground_browser.Playground(page, at))
        return visits[-1].open(asks_for_key)

    yield start
    for playground in visits:
        playground.close()
    assert [trouble for playground in visits for trouble in playground.trouble] == []


@pytest.fixture
def playground(visit):
    return visit()


@pytest.fixture
def screenshot(request, tmp_path):
    """screenshot(playground, name): kept in --screenshots, or in the test's own folder."""
    folder = request.config.getoption("--screenshots") or tmp_path

    def take(playground, name, **options):
        playground.page.screenshot(path=f"{folder}/{name}.png", **options)

    return take
