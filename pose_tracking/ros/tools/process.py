"""Surroundings of ROS processes: camera presets, starting the node. No rclpy here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pose_tracking.core.errors import ConfigError
from pose_tracking.core.paths import share_file

NODE_MODULE = "pose_tracking.ros.node.main"
# The PyPI wheels of ROS re-exec Python with these; a child must do that anew.
_BOOTSTRAP_VARIABLES = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE",)


def camera_presets() -> dict[str, Path]:
    """Parameter files of known cameras by name."""
    return {path.stem: path for path in sorted(share_file("config", "cameras").glob("*.yaml"))}


def camera_preset(name_or_path: str) -> Path:
    """Parameter file of a camera, given by the name of a preset or as a file.

    Raises:
        ConfigError: there is none.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    presets = camera_presets()
    if name_or_path not in presets:
        raise ConfigError(f"unknown camera {name_or_path!r}: neither a file nor one of {', '.join(presets)}")
    return presets[name_or_path]


def node_arguments(parameters: Mapping[str, Any], preset: Path | None = None, namespace: str = "") -> list[str]:
    """Command-line arguments that give a node `parameters`, over those of `preset`, and a namespace."""
    import json

    arguments = ["--ros-args"]
    if preset is not None:
        arguments += ["--params-file", str(preset)]
    if namespace:
        arguments += ["-r", f"__ns:={namespace}"]
    for name, value in parameters.items():
        if isinstance(value, tuple):
            value = list(value) or [""]
        arguments += ["-p", f"{name}:={json.dumps(value)}"]  # JSON is YAML, and keeps "1" a string
    return arguments


def replay_command(bag: str, rate: str) -> list[str]:
    """Command line that plays a bag into a node once it listens, and a second later, when it has been noticed."""
    command = [sys.executable, "-m", "pose_tracking.cli", "replay", bag, "--rate", rate]
    return [*command, "--wait-for-subscribers", "120", "--start-delay", "1"]


def start_node(
    parameters: Mapping[str, Any],
    preset: Path | None = None,
    module: str = NODE_MODULE,
    environment: Mapping[str, str] | None = None,
    namespace: str = "",
    **popen: Any,
) -> subprocess.Popen[bytes]:
    """Start a node, by default the tracker, in a process of its own.

    Args:
        parameters: values that differ from the defaults.
        preset: parameter file to read first.
        module: module to run.
        environment: variables to add.
        namespace: of the node, e.g. ``/left``.
        popen: passed on to `subprocess.Popen`.
    """
    variables = {k: v for k, v in os.environ.items() if k not in _BOOTSTRAP_VARIABLES}
    variables.update(environment or {})
    command = [sys.executable, "-m", module, *node_arguments(parameters, preset, namespace)]
    return subprocess.Popen(command, env=variables, **popen)


def stop_node(process: subprocess.Popen[bytes], timeout: float = 15.0) -> int:
    """End a node with SIGINT, by force only where that does not help; returns its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode
