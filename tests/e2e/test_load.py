"""The load generator against the real server: what it says must be what the server did. Nothing here is timed."""
import html.parser
import http.server
import json
import re
import subprocess
import threading

import pytest

from stubs import REPO

MIX = """
[[mix]]
name = "drafts"
weight = 3
previews = "fast"
[[mix]]
name = "pairs"
method = "generate_images"
images = 2
format = "rgb"
principal = "alice"
[[mix]]
name = "edits"
method = "edit"
uploads = 2
read_delay_ms = 1
[[mix]]
name = "strangers"
model = "no-such-model"
[[mix]]
name = "leavers"
images = 16
cancel_after_ms = 1
"""


class Page(html.parser.HTMLParser):
    """Its tags, and those that are still open."""
    EMPTY = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.seen, self.open, self.links = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def run_load(build_dir, server):
    def run(*arguments):
        return subprocess.run([build_dir / "client" / "hmar-load", "--server", server.address, *map(str, arguments)],
                              capture_output=True, text=True, timeout=300)
    return run


@pytest.fixture
def mix(tmp_path):
    path = tmp_path / "mix.toml"
    path.write_text(MIX)
    return path


def test_a_mix_is_answered_verified_and_counted_as_the_server_counts_it(run_load, server, mix, tmp_path):
    server.wait_until_idle()
    done = server.metric("hmar_images_total", outcome="done")
    refused = server.metric("hmar_requests_total", code="NOT_FOUND")
    ended = run_load("--rate", 50, "--requests", 40, "--seed", 5, "--mix", mix, "--distinct-seeds", 2, "--verify",
                     "--slo-ms", 60000, "--metrics", f"127.0.0.1:{server.metrics_port}", "--json", tmp_path / "a.json",
                     "--html", tmp_path / "a.html")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads((tmp_path / "a.json").read_text())
    run = report["runs"][0]
    kinds = {kind["name"]: kind for kind in run["kinds"]}
    assert report["errors"] == [] and run["all"]["sent"] == 40 and run["all"]["not_sent"] == 0
    for name, images in [("drafts", 1), ("pairs", 2), ("edits", 1)]:
        assert kinds[name]["ok"] == kinds[name]["due"] > 2, name
        assert kinds[name]["images"] == images * kinds[name]["ok"]
        assert kinds[name]["latency_ms"]["count"] == kinds[name]["goodput"]["calls"] == kinds[name]["ok"]
    assert kinds["drafts"]["first_preview_ms"]["count"] == kinds["drafts"]["ok"]
    assert kinds["drafts"]["estimate_ratio"]["p50"] > 0
    strangers = kinds["strangers"]["due"]
    assert kinds["strangers"]["errors"] == [{"code": "NOT_FOUND", "reason": "MODEL_NOT_FOUND", "calls": strangers}]
    assert kinds["strangers"]["refusal_ms"]["count"] == strangers > 0
    assert kinds["leavers"]["cancelled"] == kinds["leavers"]["due"] > 0
    assert server.metric("hmar_requests_total", code="NOT_FOUND") - refused == strangers
    counted = {row["what"]: row for row in report["metrics"]}
    assert counted["images done"]["seen"] == run["all"]["images"] <= counted["images done"]["counted"]
    assert counted["images done"]["counted"] <= server.metric("hmar_images_total", outcome="done") - done
    page = Page((tmp_path / "a.html").read_text())
    assert page.open == [] and page.links == [] and "script" not in page.seen and "polyline" in page.seen


def test_callers_in_a_closed_loop_get_their_images(run_load, server, tmp_path):
    ended = run_load("--concurrency", 3, "--requests", 6, "--metrics", f"http://127.0.0.1:{server.metrics_port}/metrics",
                     "--json", tmp_path / "a.json", "--quiet")
    assert ended.returncode == 0 and ended.stderr == "", ended.stdout + ended.stderr
    run = json.loads((tmp_path / "a.json").read_text())["runs"][0]
    assert run["concurrency"] == 3 and run["all"]["ok"] == run["all"]["images"] == 6


def test_metrics_that_count_fewer_than_were_seen_are_an_error(run_load):
    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'hmar_requests_total{code="OK",model="m"} 7\n')

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metrics) as other:
        threading.Thread(target=other.serve_forever).start()
        ended = run_load("--rate", 50, "--requests", 2, "--metrics", f"127.0.0.1:{other.server_port}")
        other.shutdown()
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "ERROR: the server counted 0 requests that ended with OK, this client saw 2" in ended.stdout


def test_the_readmes_mix_is_one(run_load, tmp_path):
    path = tmp_path / "mix.toml"
    path.write_text(re.search(r"```toml\n(.*?)```", (REPO / "README.md").read_text(), re.S).group(1))
    ended = run_load("--rate", 1000, "--requests", 1, "--mix", path)
    assert ended.returncode in (0, 3), ended.stderr  # 3: its one call is one that this server refuses.
    assert "rate 1000/s" in ended.stdout
