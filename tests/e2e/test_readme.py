"""The README tells the truth: its Python runs, its flags are the program's, its error reasons are the server's."""
import contextlib
import io
import re
import subprocess

from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from stubs import REPO

README = (REPO / "README.md").read_text()


def test_the_python_snippet_runs(server, tmp_path, monkeypatch):
    snippet = re.search(r"```python\n(.*?)```", README, re.S).group(1)
    assert "localhost:50051" in snippet
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(snippet.replace("localhost:50051", server.address), "README.md", "exec"), {})
    assert Image.open(tmp_path / "ship-7.png").size == (32, 32)
    assert "scale 1 of 7" in printed.getvalue()


def test_the_snippet_that_edits_runs(server, tmp_path, monkeypatch):
    snippet = re.findall(r"```python\n(.*?)```", README, re.S)[1]
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), (90, 120, 30)).save("in.png")
    names = {"pb": pb, "stub": server.stub()}  # From the first one.
    exec(compile(snippet, "README.md", "exec"), names)
    edited = Image.open(io.BytesIO(names["image"].picture.data))
    assert edited.size == (32, 32) and edited.getpixel((0, 0)) == (90, 120, 30)


def test_the_flags_table_is_the_programs(hmar_server):
    table = subprocess.run([hmar_server, "--help-markdown"], capture_output=True, text=True, check=True).stdout
    written = re.search(r"<!-- options -->\n(.*?)<!-- /options -->", README, re.S).group(1)
    assert written.strip() == table.strip()


def test_the_error_reasons_are_the_servers():
    source = (REPO / "server" / "base" / "error_reasons.cc").read_text()
    reasons = re.findall(r'ReasonRow\{\s*Reason::\w+,\s*"(\w+)"', source)
    written = re.search(r"<!-- reasons -->\n(.*?)<!-- /reasons -->", README, re.S).group(1)
    assert reasons and re.findall(r"^\| `(\w+)` ", written, re.M) == reasons


def test_the_files_it_names_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (REPO / path).exists(), path
