"""The README tells the truth: its flags are the program's, its error reasons are the server's. (That its Python runs:
tests/client/python.)"""
import re
import subprocess

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


def test_the_files_it_names_exist():
    for path in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (REPO / path).exists(), path
