"""What `cmake --install` puts where, and that it runs from there: programs, model, manual pages, completion, service."""
import os
import re
import shutil
import signal
import subprocess

import pytest

from requests_under_test import images_of, request
from server_process import ServerProcess
from stubs import REPO
from tools import tool


@pytest.fixture(scope="module")
def installed(build_dir, tmp_path_factory):
    prefix = tmp_path_factory.mktemp("installed") / "usr"
    subprocess.run(["cmake", "--install", build_dir, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    return prefix


def test_an_installed_server_finds_its_model_and_draws_the_same_bytes(installed, server, tmp_path):
    wanted = images_of(server.stub().Generate(request(), timeout=120))
    with ServerProcess(installed / "bin" / "hmar-server", [], tmp_path) as own:
        own.wait_until_ready()
        assert images_of(own.stub().Generate(request(), timeout=120))[0].picture == wanted[0].picture
        done = subprocess.run([installed / "bin" / "hmar", "--server", own.address, "models"], capture_output=True, text=True)
        assert done.returncode == 0 and "hmar-cifar10" in done.stdout


@pytest.mark.parametrize("program", ["hmar-server", "hmar", "hmar-load"])
def test_an_installed_program_needs_nothing_of_where_it_was_built(installed, program, build_dir):
    linked = subprocess.run(["ldd", installed / "bin" / program], capture_output=True, text=True, check=True).stdout
    assert "not found" not in linked
    private = (installed / "lib").resolve()
    for path in re.findall(r"=> (\S+)", linked):
        assert path.startswith(("/lib/", "/usr/lib/", str(private), str(installed / "bin"))), linked


def test_without_the_tests_no_package_of_the_tests_is_asked_for(tmp_path):
    """As deploy/demo.sh and the image configure it, on machines that have [apt build] alone."""
    without = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{package}=ON" for package in ("benchmark", "GTest")]
    configured = subprocess.run(["cmake", "-S", REPO, "-B", tmp_path, "-G", "Ninja", "-DHMAR_TESTS=OFF", "-DHMAR_CUDA=OFF", *without],
                                capture_output=True, text=True)
    assert configured.returncode == 0, configured.stderr


def test_programs_tell_their_version_and_commit(installed):
    version = re.search(r"project\(hmar-server VERSION ([0-9.]+)", (REPO / "CMakeLists.txt").read_text())[1]
    for program in ("hmar-server", "hmar", "hmar-load"):
        told = subprocess.run([installed / "bin" / program, "--version"], capture_output=True, text=True, check=True).stdout
        assert re.fullmatch(rf"{program} {re.escape(version)}( \(commit [0-9a-f]{{12}}(, changed)?\))?\n", told), told


def test_every_option_has_a_line_in_the_manual(installed):
    manuals = installed / "share" / "man"
    if not shutil.which("help2man"):
        pytest.skip("without help2man there are no manual pages: deploy/setup.sh installs it")
    table = subprocess.run([installed / "bin" / "hmar-server", "--help-markdown"], capture_output=True, text=True, check=True).stdout
    page = (manuals / "man8" / "hmar-server.8").read_text().replace("\\-", "-")
    options = re.findall(r"^\| `(--[a-z-]+)", table, re.M)
    assert len(options) > 30 and [option for option in options if option not in page] == []
    names = sorted(path.name for path in manuals.rglob("*.[18]"))
    assert names == ["hmar-edit.1", "hmar-generate.1", "hmar-health.1", "hmar-key-new.1", "hmar-load.1", "hmar-models.1",
                     "hmar-server.8", "hmar-sheet.1", "hmar-watch.1", "hmar.1"]
    assert "--mask" in (manuals / "man1" / "hmar-edit.1").read_text().replace("\\-", "-")


def completed(installed, *words):
    """What bash offers for the last of the words."""
    program = installed / "bin" / words[0]
    script = installed / "share" / "bash-completion" / "completions" / words[0]
    line = " ".join(f"'{word}'" for word in (program, *words[1:]))
    asked = (f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
             f"_hmar '{program}' '{words[-1]}' '{words[-2]}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    return subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_commands_options_and_choices(installed):
    assert {"generate", "edit", "watch", "--server"} <= set(completed(installed, "hmar", ""))
    assert completed(installed, "hmar", "gen") == ["generate"]
    assert completed(installed, "hmar", "edit", "--keep") == ["--keep-box"]
    assert completed(installed, "hmar", "generate", "--previews", "f") == ["fast", "full"]
    assert completed(installed, "hmar-server", "--drain") == ["--drain-delay-seconds", "--drain-seconds"]
    assert completed(installed, "hmar-server", "--reflection", "") == ["on", "off"]


def test_the_service_is_understood_and_sandboxed(installed, tmp_path):
    """The score of systemd's own judge: 10 is no sandbox at all."""
    analyze = tool("systemd-analyze", "THE SERVICE IS NOT TESTED")
    unit = tmp_path / "hmar-server.service"
    text = (installed / "lib" / "systemd" / "system" / "hmar-server.service").read_text()
    unit.write_text(text.replace("/usr/bin/hmar-server", str(installed / "bin" / "hmar-server")).replace("man:hmar-server(8)", ""))
    verified = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = subprocess.run([analyze, "security", "--offline=yes", "--threshold=20", unit], capture_output=True, text=True)
    print(judged.stdout[-200:])
    assert judged.returncode == 0, judged.stdout


def test_the_service_gives_a_drain_its_time(installed, hmar_server):
    unit = (installed / "lib" / "systemd" / "system" / "hmar-server.service").read_text()
    table = subprocess.run([hmar_server, "--help-markdown"], capture_output=True, text=True, check=True).stdout
    drain = sum(int(re.search(rf"^\| `--{option} N` \| `(\d+)`", table, re.M)[1]) for option in ("drain-delay-seconds", "drain-seconds"))
    assert int(re.search(r"^TimeoutStopSec=(\d+)", unit, re.M)[1]) > drain
    assert re.search(r"^RestartForceExitStatus=3 5$", unit, re.M)


def test_others_licences_come_along(installed):
    licences = installed / "share" / "hmar-server" / "licences"
    assert "Princeton University" in (licences / "LicenseRef-WordNet-3.0.txt").read_text()
    assert (licences / "torch" / "NOTICE").stat().st_size > 0
    for bundled in ("nvidia_cuda_runtime", "nvidia_cuda_cupti"):
        assert (licences / bundled / "License.txt").stat().st_size > 0


def test_the_service_lets_through_what_the_server_calls(installed, tmp_path):
    """System calls of a start, a picture and a drain, held against the unit's filter as systemd spells it out."""
    trace = tmp_path / "trace"
    strace = tool("strace", "THE SERVICE'S FILTER OF SYSTEM CALLS IS NOT TESTED")
    wrapper = tmp_path / "hmar-server"
    wrapper.write_text(f'#!/bin/sh\nexec {strace} -f -qq -e signal=none -o {trace} {installed / "bin" / "hmar-server"} "$@"\n')
    wrapper.chmod(0o755)
    with ServerProcess(wrapper, [], tmp_path) as server:
        server.wait_until_ready()
        assert images_of(server.stub().Generate(request(), timeout=120))
        pid = int(trace.read_text().split()[0])  # strace passes no signals on.
        os.kill(pid, signal.SIGTERM)
        assert server.wait_for_exit() == 0
    called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))
    assert {"execve", "futex", "mmap"} < called
    unit = (installed / "lib" / "systemd" / "system" / "hmar-server.service").read_text()
    assert called - let_through(re.findall(r"^SystemCallFilter=(.*)$", unit, re.M)) == set()


def let_through(filters):
    """The calls of a unit's SystemCallFilter lines, in their order."""
    spelled = subprocess.run([tool("systemd-analyze", "THE SERVICE'S FILTER IS NOT TESTED"), "syscall-filter"], capture_output=True,
                             text=True, check=True).stdout
    groups = {name: re.findall(r"^    ([@\w-]+)$", body, re.M) for name, body in re.findall(r"^(@\S+)\n((?:    .*\n)*)", spelled, re.M)}

    def calls_of(name):
        return set().union(*map(calls_of, groups[name])) if name.startswith("@") else {name}

    allowed = set()
    for line in filters:
        calls = set().union(*map(calls_of, line.removeprefix("~").split()))
        allowed = allowed - calls if line.startswith("~") else allowed | calls
    return allowed
