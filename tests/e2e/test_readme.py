"""The README tells the truth: its flags are the program's, its error reasons are the server's. (That its Python runs:
tests/client/python; that its links lead somewhere: tests/deploy/test_links.py.)"""
import re
import shutil
import subprocess

import pytest
from PIL import Image

from stubs import REPO

README = (REPO / "README.md").read_text()


def test_the_flags_table_is_the_programs(hmar_server):
    table = subprocess.run([hmar_server, "--help-markdown"], capture_output=True, text=True, check=True).stdout
    written = re.search(r"<!-- options -->\n(.*?)<!-- /options -->", README, re.S).group(1)
    assert written.strip() == table.strip()


def test_the_error_reasons_are_the_servers():
    source = (REPO / "server" / "base" / "error_reasons.cc").read_text()
    reasons = re.findall(r'ReasonRow\{\s*Reason::\w+,\s*"(\w+)"', source)
    written = re.search(r"<!-- reasons -->\n(.*?)<!-- /reasons -->", README, re.S).group(1)
    assert reasons and re.findall(r"^\| `(\w+)` ", written, re.M) == reasons


def commands_of(section, program):
    """What the section's blocks without a language have of the program: a line each, or several with \\ at their ends."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```$", text, re.S | re.M)).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.startswith(f"{program} ")]


@pytest.fixture(scope="module")
def tour(build_dir, hmar_server, model_folder, tmp_path_factory):
    """run(command): as it is pasted into a shell, in a folder with the pictures that the README's commands take."""
    from server_process import ServerProcess

    folder = tmp_path_factory.mktemp("tour")
    for name, size, colour in (("in", (32, 32), "teal"), ("mask", (32, 32), "white"), ("wide", (64, 24), "tan")):
        Image.new("L" if name == "mask" else "RGB", size, colour).save(folder / f"{name}.png")
    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(folder / "hole.png")
    with ServerProcess(hmar_server, [f"--model=hmar-cifar10={model_folder}", "--http=127.0.0.1:0"], folder) as server:
        server.wait_until_ready()
        environment = {"PATH": f"{build_dir / 'client'}:/usr/bin:/bin", "HMAR_SERVER": server.address, "HOME": str(folder)}

        def run(command):
            return subprocess.run(["bash", "-c", command.replace("127.0.0.1:8080", f"127.0.0.1:{server.http_port}")], cwd=folder,
                                  env=environment, capture_output=True, text=True, timeout=300)

        yield run


def test_what_the_demo_leaves_running_starts(start_server):
    flags = re.search(r'^exec "\$build_dir/server/hmar-server" (.+)$', (REPO / "deploy" / "demo.sh").read_text(), re.M)[1]
    server = start_server(*re.sub(r":\d+", ":0", flags).replace(" 127", "=127").split())
    server.wait_for_line("ready")
    assert server.http_port and server.metrics_port


@pytest.mark.parametrize("section", ["Five minutes with it", "Editing"])
def test_its_commands_run_as_pasted(section, tour):
    commands = commands_of(section, "hmar")
    assert len(commands) >= 5
    for command in commands:
        done = tour(command)
        refused = "refusal" in command
        assert done.returncode == (1 if refused else 0), (command, done.stderr)
        assert ("INVALID_ARGUMENT" in done.stderr) == refused, (command, done.stderr)


def test_its_curls_run_as_pasted(tour):
    if not shutil.which("curl"):
        pytest.skip("the README's curl commands are not tested: there is no curl")
    commands = commands_of("Over HTTP", "curl")
    assert len(commands) >= 3
    for command in commands:
        done = tour(command.replace("curl ", "curl --fail --silent "))
        assert done.returncode == 0 and "b64_json" in done.stdout, (command, done.stdout[:300])
