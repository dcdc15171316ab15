"""`hmar watch` against a real server."""
import http.server
import re
import signal
import socket
import subprocess
import termios
import threading
import time

import pytest

from requests_under_test import request
from terminal_screen import GENEROUS_SECONDS, Terminal

XTERM = {"TERM": "xterm-256color"}


def metrics_of(server):
    return f"127.0.0.1:{server.metrics_port}"


@pytest.fixture
def busy(server):
    """Images until the test ends."""
    ended = threading.Event()

    def draw():
        while not ended.is_set():
            list(server.stub().Generate(request(num_images=4)))

    drawing = threading.Thread(target=draw)
    drawing.start()
    yield
    ended.set()
    drawing.join()


def rate(line):
    return float(re.search(r"([\d.]+)/s", line).group(1))


def test_once_prints_a_page(server, hmar, busy):
    def page():
        ended = subprocess.run([hmar, "watch", "--once", "--interval", "2", "--metrics", metrics_of(server)],
                               capture_output=True, text=True, timeout=180)
        assert ended.returncode == 0, ended.stderr
        assert "\x1b" not in ended.stdout
        return ended.stdout.splitlines()

    deadline = time.monotonic() + GENEROUS_SECONDS
    while rate((lines := page())[2]) == 0:  # On a busy machine an image takes longer than the two looks are apart.
        assert time.monotonic() < deadline, lines
    assert lines[0] == f"http://{metrics_of(server)}/metrics   ready"
    assert lines[1].startswith("version ") and "over the last " in lines[1]
    named = {line.split()[0]: line for line in lines}
    assert rate(named["images"]) > 0 and rate(named["steps"]) > 0
    assert "hmar-cifar10" in named["model"] and "cpu" in named["device"]
    assert [line.split()[1] for line in lines if line.startswith("buffer")] == ["delivery", "encoder", "upload"]
    step = named["step"].split()
    assert step[1] != "-" and int(step[-1]) > 0


def test_a_pipe_gets_a_line_a_look_until_it_is_interrupted(server, hmar):
    with subprocess.Popen([hmar, "watch", "--interval", "0.1", "--metrics", metrics_of(server)], stdout=subprocess.PIPE,
                          text=True) as watch:
        for _ in range(3):
            assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d  ready  images ", watch.stdout.readline())
        watch.send_signal(signal.SIGINT)
        watch.stdout.read()
        assert watch.wait(timeout=60) == 130


@pytest.mark.parametrize("key, code", [(b"q", 0), (b"\x03", 130)])
def test_a_terminal_gets_one_screen_until_a_key_ends_it(server, hmar, busy, key, code):
    with Terminal([hmar, "watch", "--interval", "0.2", "--metrics", metrics_of(server)], XTERM) as terminal:
        before = termios.tcgetattr(terminal.fd)[:4]
        terminal.wait_until(lambda: any(line.startswith("images") and rate(line) > 0 for line in terminal.lines))
        terminal.resize(50, 12)
        terminal.wait_until(lambda: terminal.lines[0].endswith("ready") and 10 < len(terminal.lines) <= 12)
        terminal.type(b"x" + key)
        assert terminal.wait() == code
        lines = terminal.lines
        assert lines[0].endswith("ready") and lines[2].startswith("images")  # What was seen last stays.
        assert sum(line.startswith("steps") for line in lines) == 1
        assert termios.tcgetattr(terminal.fd)[:4] == before


def test_nobody_there_is_an_error_once_and_waited_for_else(hmar, start_server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ended = subprocess.run([hmar, "watch", "--once", "--metrics", address], capture_output=True, text=True, timeout=180)
    assert ended.returncode == 3 and address in ended.stderr and ended.stdout == ""
    with Terminal([hmar, "watch", "--interval", "0.2", "--metrics", address], XTERM, columns=120) as terminal:
        terminal.wait_for_text("no answer: ")
        server = start_server(f"--metrics={address}")
        terminal.wait_for_text("metrics   ready")
        server.stop()
        terminal.wait_for_text("no answer, last seen ")
        start_server(f"--metrics={address}").wait_until_ready()
        terminal.wait_for_text("metrics   ready")
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_what_a_server_says_reaches_no_terminal_raw(hmar):
    class Hostile(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'hmar_ready 1\nhmar_build_info{version="\x1b]0;title\x07"} 1\n'
                             b'hmar_model_info{model="\x1b[2J\xe2\x80\xae",digest="\x9b31m",precision="\x07"} 1\n')

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ended = subprocess.run([hmar, "watch", "--once", "--interval", "0.1", "--metrics", f"127.0.0.1:{server.server_port}"],
                               capture_output=True, timeout=180)
        server.shutdown()
    assert ended.returncode == 0
    assert not set(ended.stdout) & (set(range(32)) - {10} | {0x7F, 0x9B})
    assert b"\\u001B[2J\\u202E" in ended.stdout
