"""What newcomers and their tools meet: scripts, Python, workflows and hooks that are as the linters want them."""
import re
import subprocess

import yaml

from stubs import REPO
from tools import tool


def tracked(*patterns):
    listed = subprocess.run(["git", "-C", REPO, "ls-files", *patterns], capture_output=True, text=True, check=True).stdout.split()
    assert listed, patterns
    return listed


def passes(command, *arguments):
    done = subprocess.run([command, *arguments], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_has_nothing_to_say():
    passes(tool("ruff", "PYTHON IS NOT LINTED"), "check", "--no-cache", *tracked("*.py"))


def test_shellcheck_has_nothing_to_say():
    passes(tool("shellcheck", "SCRIPTS ARE NOT LINTED"), *tracked("*.sh", "*.bash"), ".ci/run", "deploy/package/postinst",
           "deploy/package/prerm", "deploy/package/postrm")


def test_the_workflow_is_one():
    passes(tool("check-jsonschema", "THE WORKFLOW IS NOT TESTED"), "--builtin-schema", "vendor.github-workflows",
           *tracked(".github/workflows/*.yaml"))


def test_the_issue_forms_are_forms():
    passes(tool("check-jsonschema", "THE ISSUE FORMS ARE NOT TESTED"), "--builtin-schema", "vendor.github-issue-forms",
           *tracked(".github/ISSUE_TEMPLATE/*.yaml"))


def test_the_hooks_are_those_of_ci():
    passes(tool("pre-commit", "THE HOOKS ARE NOT TESTED"), "validate-config", ".pre-commit-config.yaml")
    hooks = {hook["id"]: hook for repo in yaml.safe_load((REPO / ".pre-commit-config.yaml").read_text())["repos"] for hook in repo["hooks"]}
    assert {"clang-format", "ruff", "buf", "shellcheck", "workflows", "actionlint"} <= set(hooks)
    assert hooks["clang-format"]["entry"].split()[0] in (REPO / ".ci" / "run").read_text()


def test_a_version_is_one_everywhere():
    version = re.search(r"project\(hmar-server VERSION ([0-9.]+)", (REPO / "CMakeLists.txt").read_text())[1]
    chart = REPO / "deploy" / "helm" / "hmar-server" / "Chart.yaml"
    assert yaml.safe_load(chart.read_text())["appVersion"] == version
    assert f"## [{version}]" in (REPO / "deploy" / "CHANGELOG.md").read_text()
