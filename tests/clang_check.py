#!/usr/bin/env python3
"""What clang finds and g++ does not, over the sources of a build folder's compile_commands.json that need neither torch
nor CUDA: warnings and -Wthread-safety as errors (without making code), or clang-tidy on what changed since a commit.

  tests/clang_check.py [--build-dir DIR]                    warnings
  tests/clang_check.py [--build-dir DIR] --tidy-since COMMIT   clang-tidy
  tests/clang_check.py [--build-dir DIR] --tidy-all            clang-tidy on everything

Ends with a line that counts files and failures; exits with 1 if there is one.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parents[1]
FOLDERS = ("server", "client", "model")
WITHOUT = ("model/torch", "model/cuda")
WARNINGS = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wthread-safety", "-Werror"]


def commands(build_dir):
    """Of each source: its folder and its command, by its path in the repository."""
    entries = json.loads((build_dir / "compile_commands.json").read_text())
    found = {}
    for entry in entries:
        path = pathlib.Path(entry["file"])
        if path.is_relative_to(REPO):
            name = str(path.relative_to(REPO))
            if name.startswith(tuple(f"{folder}/" for folder in FOLDERS)) and not name.startswith(WITHOUT):
                found[name] = (entry["directory"], shlex.split(entry["command"]))
    return found


def syntax_check(name, folder, command):
    """clang++ with g++'s flags, but for what it would write."""
    arguments = [argument for argument in command[1:] if not argument.startswith("-fsanitize")]
    output = arguments.index("-o")
    del arguments[output:output + 2]
    return subprocess.run(["clang++-14", *arguments, *WARNINGS], cwd=folder, capture_output=True, text=True)


def tidy(build_dir, name):
    return subprocess.run(["clang-tidy-14", "--quiet", "-p", str(build_dir), str(REPO / name)], capture_output=True,
                          text=True)


def is_shallow():
    git = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=REPO, capture_output=True, text=True)
    return git.stdout.strip() == "true"


def changed_since(commit):
    """Paths of C++ files that differ from the commit, committed or not."""
    git = subprocess.run(["git", "diff", "--name-only", "--diff-filter=d", commit, "--", "*.cc", "*.h"], cwd=REPO,
                         capture_output=True, text=True)
    if git.returncode != 0:
        if is_shallow():
            print(f"clang_check: SKIPPED, this clone is shallow and has no commit {commit}: what changed is not known")
            sys.exit(0)
        sys.exit(f"clang_check: git knows no commit '{commit}': {git.stderr.strip()}")
    return set(git.stdout.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build-dir", type=pathlib.Path, default=REPO / "build")
    parser.add_argument("--tidy-since", metavar="COMMIT")
    parser.add_argument("--tidy-all", action="store_true")
    options = parser.parse_args()
    sources = commands(options.build_dir.resolve())
    if not sources:
        sys.exit(f"clang_check: no sources in {options.build_dir}/compile_commands.json")
    if options.tidy_since:
        changed = changed_since(options.tidy_since)
        sources = {name: command for name, command in sources.items() if name in changed}
    checker = "clang-tidy" if options.tidy_all or options.tidy_since else "clang -Wthread-safety"

    def check(name):
        if options.tidy_all or options.tidy_since:
            return tidy(options.build_dir.resolve(), name)
        return syntax_check(name, *sources[name])

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, result in zip(sources, pool.map(check, sources)):
            if result.returncode != 0:
                failed += 1
                print(f"{checker}: {name}\n{result.stdout}{result.stderr}", flush=True)
    print(f"{checker}: {len(sources)} files, {failed} with findings")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
