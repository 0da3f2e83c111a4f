"""The installed package: messages of this checkout, the executable, the share folders, the command."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

import pose_tracking

ROOT = Path(__file__).resolve().parents[2]
MESSAGES = sorted((ROOT / "msg").glob("*.msg"))


@pytest.fixture(scope="module")
def installed() -> dict[str, Path]:
    """Files of the installed distribution by the name they have below the prefix."""
    # Not the metadata that a build left in the checkout, which comes first on sys.path.
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    found_there = importlib.metadata.distributions(name="pose_tracking", path=folders)
    files = [file for distribution in found_there for file in distribution.files or []]
    located = [Path(str(file.locate())).resolve() for file in files]
    prefix = Path(sys.prefix).resolve()
    found = {str(path.relative_to(prefix)): path for path in located if path.is_relative_to(prefix)}
    if "lib/pose_tracking/tracker_node" not in found:
        pytest.skip("pose_tracking is not installed in this environment with pip (make setup)")
    return found


def type_hash(name: str, files: dict[str, str]) -> str:
    """Type hash (REP 2016) of message `name`, computed by rosbags from definitions, {type name: text}."""
    store = get_typestore(Stores.ROS2_KILTED)
    types = {}
    for type_name, text in files.items():
        types.update(get_types_from_msg(text, type_name))
    store.register(types)
    return str(store.hash_rihs01(name))


def stored_hash(path: Path, name: str) -> str:
    """Type hash that the message generator wrote for message `name`."""
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(path.read_text())["type_hashes"]}
    return str(hashes[name])


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_installed_messages_are_those_of_the_checkout(installed: dict[str, Path], path: Path) -> None:
    name = f"pose_tracking/msg/{path.stem}"
    expected = type_hash(name, {f"pose_tracking/msg/{p.stem}": p.read_text() for p in MESSAGES})
    assert stored_hash(installed[f"share/pose_tracking/msg/{path.stem}.json"], name) == expected


def test_tf_message_has_the_official_type_hash() -> None:
    pytest.importorskip("tf2_msgs.msg")
    folder = Path(sys.prefix) / "share" / "tf2_msgs" / "msg"
    if not folder.is_dir():
        pytest.skip("tf2_msgs comes from a native ROS 2")
    name = "tf2_msgs/msg/TFMessage"
    assert stored_hash(folder / "TFMessage.json", name) == get_typestore(Stores.ROS2_KILTED).hash_rihs01(name)


def test_messages_survive_serialisation() -> None:
    serialization = pytest.importorskip("rclpy.serialization")
    messages = pytest.importorskip("pose_tracking.msg")
    sent = messages.TrackedObjectArray(objects=[messages.TrackedObject(track_id=7, class_name="cat")])
    received = serialization.deserialize_message(serialization.serialize_message(sent), messages.TrackedObjectArray)
    assert received == sent
    assert received.objects[0].track_id == 7


def test_executable_and_share_folders_are_installed(installed: dict[str, Path]) -> None:
    assert os.access(installed["lib/pose_tracking/tracker_node"], os.X_OK)
    for name in ("package.xml", "launch/tracker.launch.py", "rviz/tracker.rviz", "models/demo/bundle.yaml"):
        assert f"share/pose_tracking/{name}" in installed
    assert "share/ament_index/resource_index/packages/pose_tracking" in installed


def test_installed_files_hold_no_path_of_the_build(installed: dict[str, Path]) -> None:
    share = [path for name, path in installed.items() if name.startswith("share/") and path.suffix != ".pyc"]
    assert [path for path in share if str(ROOT).encode() in path.read_bytes()] == []


@pytest.mark.parametrize("how", ["module", "script"])
def test_the_command_tells_its_version(how: str, tmp_path: Path) -> None:
    script = Path(sys.executable).parent / "pose-tracking"
    command = [str(script)] if how == "script" else [sys.executable, "-m", "pose_tracking.cli"]
    if how == "script" and not script.exists():
        pytest.skip("the command is not installed")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == f"pose_tracking {pose_tracking.__version__}"
