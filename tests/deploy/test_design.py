"""server/DESIGN.md speaks of what is there: every name in it is one of the sources', of a file, or of an option."""
import pathlib
import re
import subprocess

from stubs import REPO

PAGE = REPO / "server" / "DESIGN.md"
FOLDERS = ["CMakeLists.txt", "client", "deploy", "kernels", "model", "proto", "server", "tests"]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{2,}")


def tracked():
    listed = subprocess.run(["git", "-C", str(REPO), "ls-files", *FOLDERS], capture_output=True, text=True, check=True)
    binary_or_prose = (".md", ".png", ".safetensors", ".bin", ".binpb", ".inc", pathlib.Path(__file__).name)
    return [path for path in listed.stdout.splitlines() if not path.endswith(binary_or_prose)]


def names_of(page):
    """What stands in backticks, and in the drawing; words of prose are not asked for."""
    drawing, rest = re.search(r"```\n(.*?)```\n(.*)", page, re.DOTALL).groups()
    spans = re.findall(r"`([^`\n]+)`", rest)
    camel = re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", drawing)
    return {name for span in spans for name in NAME.findall(span)} | set(camel)


def test_every_name_is_one_that_is_there():
    paths = tracked()
    known = {name for path in paths for name in NAME.findall(path)}
    known |= {name for path in paths for name in NAME.findall((REPO / path).read_text(errors="replace"))}
    placeholders = {"NAME", "name_test", "name_bench"}
    assert names_of(PAGE.read_text()) - known - placeholders == set()


def test_a_name_that_is_not_there_would_be_found():
    assert names_of("```\n| NoSuchPart |\n```\nSee `no_such_part.cc`, or not.\n") == {"NoSuchPart", "no_such_part"}
