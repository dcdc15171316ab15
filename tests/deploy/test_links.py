"""Markdown of the project: every link leads to a file that is tracked, or a heading that is there; text is no wider than 140 columns."""
import re
import subprocess

import pytest

from stubs import REPO

COLUMNS = 140
LISTED = subprocess.run(["git", "-C", str(REPO), "ls-files", "--cached", "--others", "--exclude-standard"], check=True, capture_output=True,
                        text=True)
TRACKED = set(LISTED.stdout.splitlines())
PAGES = sorted(path for path in TRACKED if path.endswith(".md"))
FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[(?:[^][]|\[[^][]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")


def prose(text):
    """The page without what is code."""
    return re.sub(r"`[^`\n]*`", "``", FENCE.sub("", text))


def anchors(text):
    """Of the page's headings, as GitHub makes them: the second of a name has -1 at its end."""
    seen, found = {}, set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        shown = LINK.sub(lambda link: re.match(r"!?\[(.*?)\]", link[0], re.DOTALL)[1], heading)
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        times = seen.get(slug, 0)
        seen[slug] = times + 1
        found.add(f"{slug}-{times}" if times else slug)
    return found | set(re.findall(r"<a (?:name|id)=\"([^\"]+)\"", text))


def broken(page, text, read):
    """Links of the page that lead nowhere; read(path) gives another page."""
    wrong = []
    for target in LINK.findall(prose(text)):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else (REPO / page).parent.joinpath(path).resolve().relative_to(REPO).as_posix()
        folder = there == "." or any(each.startswith(f"{there}/") for each in TRACKED)
        if there not in TRACKED and not folder:
            wrong.append(f"{target}: no such file")
        elif anchor and (folder or anchor not in anchors(text if there == page else read(there))):
            wrong.append(f"{target}: no such heading")
    return wrong


def read(path):
    return (REPO / path).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page):
    assert broken(page, read(page), read) == []


@pytest.mark.parametrize("page", PAGES)
def test_lines_are_no_wider_than_a_terminal(page):
    """Rows of tables, which cannot be broken, and links of more than a line aside."""
    lines = enumerate(read(page).splitlines(), 1)
    assert [f"{number}: {len(line)} columns" for number, line in lines if len(line) > COLUMNS and not line.startswith("|")] == []


def test_a_link_that_leads_nowhere_is_found():
    other = "# One\n\n## Two `x`: three\n\n## Two `x`: three\n\n```\n# four\n```\n"
    text = ("[a](proto/README.md) [b](proto/nothing.md) [c](#here) [d](#there) [e](server/README.md#two-x-three-1)\n"
            "[f](server/README.md#four) [g](https://example.com/x) `[h](nowhere)` [i](proto)\n\n# Here\n")
    assert broken("README.md", text, lambda _: other) == [
        "proto/nothing.md: no such file", "#there: no such heading", "server/README.md#four: no such heading"]
