"""Logs whose reader is slow or gone: no request, and no exit, depends on who reads them."""
import datetime
import fcntl
import json
import os
import signal
import subprocess

import pytest

from requests_under_test import images_of, request
from server_process import GENEROUS_SECONDS

NO_METRICS = "--metrics="  # The metrics server of old ignored SIGPIPE for the whole process.
# A hang lasts for ever; a drain without calls and the last flush of two logs take three seconds on a calm machine.
EXIT_SECONDS = 60


@pytest.fixture
def pipe():
    """A pipe: its reading and its writing end."""
    ends = [os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"))]
    yield ends
    for end in ends:
        end.close()


def fill(pipe):
    """Fills a pipe, made as small as they come, to its last byte."""
    size = fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    assert pipe[1].write(bytes(size)) == size


def generate(server, count):
    for _ in range(count):
        assert len(images_of(server.stub().Generate(request(), timeout=GENEROUS_SECONDS))) == 1


def terminate(server):
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=EXIT_SECONDS) == 0


def test_the_access_log_says_each_call(start_server, model_folder, pipe):
    server = start_server(f"--model=m={model_folder}", stdout=pipe[1])
    pipe[1].close()
    server.wait_until_ready()
    generate(server, 3)
    terminate(server)
    lines = [json.loads(line) for line in pipe[0].read().splitlines()]
    assert [line["code"] for line in lines if line["method"] == "Generate"] == ["OK"] * 3


def test_a_reader_that_left_does_not_end_the_server(start_server, model_folder, pipe):
    server = start_server(f"--model=m={model_folder}", NO_METRICS, stdout=pipe[1])
    for end in pipe:
        end.close()
    server.wait_until_ready()
    generate(server, 3)
    assert server.process.poll() is None
    terminate(server)


def test_a_line_that_could_not_be_written_is_counted(start_server, model_folder, pipe):
    server = start_server(f"--model=m={model_folder}", stdout=pipe[1])
    for end in pipe:
        end.close()
    server.wait_until_ready()
    generate(server, 1)
    server.wait_for_metric(lambda lost: lost >= 1, "hmar_log_lines_lost_total", log="access")
    assert server.metric("hmar_log_lines_lost_total", log="events") == 0


def test_a_full_pipe_holds_up_neither_requests_nor_the_exit(start_server, model_folder, pipe):
    fill(pipe)
    server = start_server(f"--model=m={model_folder}", NO_METRICS, stdout=pipe[1])
    server.wait_until_ready()
    generate(server, 3)
    terminate(server)


def test_two_full_pipes_hold_up_neither_requests_nor_the_exit(hmar_server, model_folder, tmp_path, pipe):
    fill(pipe)
    port_file = tmp_path / "port"
    server = subprocess.Popen([hmar_server, f"--model=m={model_folder}", "--listen=127.0.0.1:0",
                               f"--port-file={port_file}", "--log-level=trace"], stdout=pipe[1], stderr=pipe[1])
    try:
        while not port_file.exists():
            assert server.poll() is None
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=EXIT_SECONDS) == 0
    finally:
        server.kill()


def test_a_failed_start_has_its_exit_code_even_if_nobody_reads_why(hmar_server, tmp_path, pipe):
    fill(pipe)
    ended = subprocess.run([hmar_server, f"--model=m={tmp_path}/nowhere"], stdout=pipe[1], stderr=pipe[1],
                           timeout=EXIT_SECONDS)
    assert ended.returncode == 1


def test_a_server_without_standard_output_keeps_its_files_to_itself(hmar_server, model_folder, tmp_path):
    port_file = tmp_path / "port"
    command = [str(hmar_server), f"--model=m={model_folder}", "--listen=127.0.0.1:0",
               f"--port-file={port_file}"]
    server = subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
    try:
        while not port_file.exists():
            assert server.poll() is None
        standard = [os.readlink(f"/proc/{server.pid}/fd/{fd}") for fd in range(3)]
        assert standard == ["/dev/null"] * 3
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=EXIT_SECONDS) == 0
    finally:
        server.kill()


def test_times_are_utc_wherever_the_server_stands(start_server, model_folder, monkeypatch):
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # UTC+14.
    server = start_server(f"--model=m={model_folder}")
    line = server.wait_for_line("ready")
    written = datetime.datetime.strptime(line.split()[0], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert abs(datetime.datetime.now(datetime.timezone.utc) - written) < datetime.timedelta(hours=1)
