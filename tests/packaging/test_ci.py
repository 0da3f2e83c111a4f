"""What checks a change: people, the pre-commit hooks and the workflow run the same commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def recipe(target: str) -> str:
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert found is not None, target
    return found.group(1)


def test_ci_runs_lint_and_then_the_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert re.findall(r"^make (\w+)$", script.read_text(), re.MULTILINE) == ["lint", "test"]


def test_the_workflow_runs_the_same_on_the_oldest_and_the_newest_python() -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["check"]
    assert job["strategy"]["matrix"]["python"] == ["3.10", "3.13"]
    assert [step["run"] for step in job["steps"] if "make" in step.get("run", "")] == ["make lint", "make test"]


def test_the_hooks_are_the_tools_of_make_lint() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"  # nothing is fetched
    commands = [hook["entry"].removeprefix(".venv/bin/").removesuffix(" --fix") for hook in repository["hooks"]]
    assert [command for command in commands if command not in recipe("lint")] == []


def test_lint_checks_code_types_layers_and_links() -> None:
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "check_links.py", "$(MKDOCS)"):
        assert tool in recipe("lint")
    assert "--strict" in re.findall(r"^MKDOCS := (.*)$", MAKEFILE, re.MULTILINE)[0].split()


def test_the_soak_tests_run_nightly_and_only_where_asked_for() -> None:
    assert "pytest -q tests/soak $(SOAK_ARGS)" in recipe("soak")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if step.get("run", "").startswith("make")]
    assert [run.split()[:2] for run in runs] == [["make", "soak"], ["make", "test"]]
    assert "-k ${{ matrix.part }}" in runs[0]
    assert "-m slow" in runs[1]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
    for argument, expected in (("tests", False), ("tests/soak", True)):
        ignored = [f"--ignore={path}" for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name != "soak"]
        listing = subprocess.run([*command, *ignored, argument], cwd=ROOT, capture_output=True, text=True)
        assert ("test_malformed_messages" in listing.stdout) is expected, listing.stdout + listing.stderr
    parts = jobs["soak"]["strategy"]["matrix"]["part"]
    for test in (line for line in listing.stdout.splitlines() if "::" in line):
        assert sum(part in test for part in parts) == 1, test  # as `-k` looks at the names of file and function
