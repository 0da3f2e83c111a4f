"""The Kubernetes job of the documentation: what it says to Kubernetes is there, and its command line is understood."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
import yaml

from pose_tracking.cli.gallery import app
from pose_tracking.cli.gallery_ingest import _part
from pose_tracking.gallery.jobs import IngestJob

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gallery.md"


def job() -> dict[str, Any]:
    (text,) = re.findall(r"```yaml\n(apiVersion: batch/v1\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    content = yaml.safe_load(text)
    assert isinstance(content, dict)
    return content


def options(arguments: list[str]) -> dict[str, Any]:
    """What the real parser makes of the arguments of `pose-tracking gallery ingest`."""
    group: Any = typer.main.get_command(app)
    params: dict[str, Any] = group.commands["ingest"].make_context("ingest", list(arguments)).params
    return params


def test_the_command_line_is_understood() -> None:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["pose-tracking", "gallery", "ingest"]
    arguments = [*container["command"][3:], *container["args"]]
    given = options([text.replace("$(JOB_COMPLETION_INDEX)", "3") for text in arguments])
    assert given["recordings"] == ["/data/recordings.yaml"]
    assert given["relink"] is False
    assert all(isinstance(text, str) for text in arguments)
    # The parts of all pods together are the whole.
    completions = job()["spec"]["completions"]
    all_jobs = [IngestJob(str(k), "camera") for k in range(20)]
    parts = [_part(all_jobs, given["part"].replace("3/", f"{k}/"), given["store"]) for k in range(completions)]
    assert given["part"] == f"3/{completions}"
    assert sorted((j.recording for part in parts for j in part), key=int) == [str(k) for k in range(20)]


def test_it_is_an_indexed_job() -> None:
    spec = job()["spec"]
    assert job()["kind"] == "Job"
    assert spec["completionMode"] == "Indexed"
    # Kubernetes asks for both where a limit of failures is of each index.
    assert spec["backoffLimitPerIndex"] > 0
    pod = spec["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_no_password_stands_in_it() -> None:
    text = str(job())
    assert not re.search(r"postgresql://[^@/]*:[^@]*@", text)
    assert "secretKeyRef" in text
