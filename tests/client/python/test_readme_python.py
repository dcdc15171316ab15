"""The Python of the project's README runs."""
import contextlib
import io
import re

from PIL import Image

from stubs import REPO

SNIPPETS = re.findall(r"```python\n(.*?)```", (REPO / "README.md").read_text(), re.DOTALL)


def test_the_snippets_run_one_after_the_other(hmar_client, start_server, model_folder, tmp_path, monkeypatch):
    server = start_server(f"--model=hmar-cifar10={model_folder}", "--http=127.0.0.1:0")
    server.wait_until_ready()
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32), (90, 120, 30)).save("in.png")
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for snippet in SNIPPETS:
            here = snippet.replace("localhost:50051", server.address).replace("127.0.0.1:8080", f"127.0.0.1:{server.http_port}")
            exec(compile(here, "README.md", "exec"), names)
    assert printed.getvalue().count("image_generation.partial_image") == 3
    assert "image 0: scale 1 of 7" in printed.getvalue()
    assert Image.open("ship-7.png").size == Image.open("ship-8.png").size == (32, 32)
    assert Image.open("dog.png").getpixel((0, 0)) == (90, 120, 30)
    assert Image.open("ship.jpg").format == "JPEG"


def test_the_packages_own_page_begins_with_three_lines_that_run(hmar_client, server, monkeypatch):
    (snippet,) = re.findall(r"```python\n(.*?)```", (REPO / "client" / "python" / "README.md").read_text(), re.DOTALL)
    assert len(snippet.splitlines()) == 3
    shown = []
    monkeypatch.setattr(Image.Image, "show", lambda picture: shown.append(picture))
    exec(compile(snippet.replace("localhost:50051", server.address), "README.md", "exec"), {})
    assert shown[0].size == (32, 32)
