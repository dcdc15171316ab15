"""deploy/OPERATING.md tells of every option, metric and exit code that there is, and of none besides; its sums start from the defaults."""
import re
import subprocess

import pytest
from hmar.v1 import image_generation_pb2 as pb

from stubs import REPO
from test_metrics import FAMILIES

HANDBOOK = (REPO / "deploy" / "OPERATING.md").read_text()
OPERATIONS = REPO / "server" / "operations"


def section(title):
    """From the heading of this name to the next of its level."""
    level, rest = re.search(rf"^(#+) {re.escape(title)}\n(.*)", HANDBOOK, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text):
    """Of the rows of its tables."""
    return [row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| ")]


@pytest.fixture(scope="module")
def options(hmar_server):
    """Name: default, of every option."""
    table = subprocess.run([hmar_server, "--help-markdown"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\| `--([a-z-]+)[^`]*` \| (?:`([^`]*)`)? *\|", table, re.MULTILINE)
    assert len(rows) > 50
    return dict(rows)


def test_every_option_has_a_row_that_says_when_to_change_it(options):
    rows = re.findall(r"--([a-z-]+)", " ".join(first_cells(section("Options"))))
    assert sorted(rows) == sorted(options)


def test_it_names_no_option_that_is_not_there(options, build_dir):
    helped = subprocess.run([build_dir / "client" / "hmar-load", "--help"], capture_output=True, text=True, check=True).stdout
    others = set(re.findall(r"--([a-z][a-z-]+)", helped)) | {"no-access-log", "wait"}  # The negative, and hmar's.
    programs = re.sub(r"^```.*?^```", "", HANDBOOK, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"--([a-z][a-z-]+)", programs))
    assert named <= options.keys() | others, named - options.keys() - others


def test_its_sum_of_memory_starts_from_the_defaults(options):
    rows = re.findall(r"\| `--([a-z-]+)`(?: \(([\d,]+)\))? \| ([\d.]+) MiB \|", section("Memory"))
    assert len(rows) == 8
    for name, count, mib in rows:
        default = int(count.replace(",", "")) if count else int(mib) << 20
        assert int(options[name]) == default, name
    mebibytes = sum(float(mib) for _, _, mib in rows) + 64 + 16
    assert f"That is {mebibytes / 1024:.1f} GiB with the defaults" in section("Memory")


def families_in_code():
    """Name: labels, of what metrics.h lists, process_metrics.h and the logs."""
    header = (OPERATIONS / "metrics.h").read_text()
    found = {name: labels for name, labels in re.findall(r"^// \| (hmar_\w+)(?:\{([\w,]+)\})?", header, re.MULTILINE)}
    process = re.findall(r"process_\w+", (OPERATIONS / "process_metrics.h").read_text())
    found.update({name: "" for name in process if name != "process_metrics"})
    logs = re.findall(r'"(hmar_\w+)"', (OPERATIONS / "logging.cc").read_text())
    found.update({name: "log" for name in logs})
    return found


def test_every_metric_has_a_row_with_its_labels():
    rows = re.findall(r"`(\w+)(?:\{([\w,]+)\})?`", " ".join(first_cells(section("Metrics"))))
    assert dict(rows) == families_in_code()


def test_what_a_scrape_shows_is_in_it(server):
    shown = set(re.findall(r"^# TYPE (\w+)", server.metrics_text(), re.MULTILINE))
    rows = set(re.findall(r"`(\w+)(?:\{[\w,]+\})?`", " ".join(first_cells(section("Metrics")))))
    assert shown <= rows
    assert {name for name in FAMILIES if name.startswith("hmar_")} <= {name.removesuffix("_total") for name in rows}


def test_every_exit_code_of_the_program_is_in_it():
    told = re.match(r"(?://[^\n]*\n)+", (REPO / "server" / "main.cc").read_text())[0]
    codes = re.findall(r"\b([0-9]) (?:stopped|could|bad|failed|ended|a device)", told.replace("\n// ", " "))
    assert codes == ["0", "1", "2", "3", "4", "5"]
    rows = " ".join(first_cells(section("Start and end")))
    assert set(codes) <= set(re.findall(r"\d+", rows))


def commands(title):
    """The section's first block of them."""
    return re.search(rf"^## {title}\n.*?^```\n(.*?)^```", HANDBOOK, re.MULTILINE | re.DOTALL)[1]


def test_the_capacity_test_runs_as_it_is_pasted(server, build_dir, tmp_path):
    """But with a few calls in place of a time, so that it means the same on a slow machine."""
    pasted = commands("Capacity test")
    for given, here in {"--duration 60": "--requests 4", " --warm-up 10": "", "--deadline-ms 2000": "--deadline-ms 100000",
                        "127.0.0.1:9090": f"127.0.0.1:{server.metrics_port}", "sweep.html": str(tmp_path / "sweep.html")}.items():
        assert given in pasted
        pasted = pasted.replace(given, here)
    asked = [line.split()[1:] for line in pasted.splitlines() if line.startswith("hmar-load ")]
    assert len(asked) == 3
    for arguments in asked:
        ended = subprocess.run([build_dir / "client" / "hmar-load", *arguments, "--server", server.address], check=False,
                               capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, f"{arguments}:\n{ended.stdout}{ended.stderr}"
    assert (tmp_path / "sweep.html").read_text().count("<svg") > 0


def test_a_digest_is_made_as_it_is_pasted(server):
    made = subprocess.run(["bash", "-e"], input=commands("Upgrades"), cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert made.split()[0] == server.stub().GetModel(pb.GetModelRequest()).model.digest
