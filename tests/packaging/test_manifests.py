"""The files that describe the package (pyproject.toml, package.xml, CMakeLists.txt, setup.py) say the same."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import pose_tracking

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pose_tracking"
CMAKE = (ROOT / "CMakeLists.txt").read_text()
MESSAGES = sorted((ROOT / "msg").glob("*.msg"))

# Where the name of a module is not that of its distribution.
DISTRIBUTIONS = {
    "argon2": "argon2-cffi",
    "cv2": "opencv-python-headless",
    "deep_sort_realtime": "deep-sort-realtime",
    "open3d": "open3d-cpu",
    "ruamel": "ruamel.yaml",
    "sqlite_vec": "sqlite-vec",
    "yaml": "pyyaml",
}
# detectron2 is on no package index, norfair asks for an older NumPy than the other baselines: they cannot be declared;
# docs/installation.md says how to get them. playwright comes with the extra `test`: a demo opens a page with it.
BY_HAND = {"detectron2", "norfair", "playwright"}
# Used where a native ROS 2 has them; the code does without.
OPTIONAL_ROS = {"cv_bridge", "launch", "launch_ros", "tf2_msgs", "tf2_ros", "vision_msgs"}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def depends(manifest: ElementTree.Element, *tags: str) -> set[str]:
    """Names in the given tags of package.xml."""
    return {element.text.strip() for tag in tags for element in manifest.findall(tag) if element.text}


def names(requirements: list[str]) -> set[str]:
    """Distribution names of requirement strings."""
    return {re.split(r"[\s\[<>=;!~]", requirement, maxsplit=1)[0].lower() for requirement in requirements}


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Top-level modules that a file imports, at its top or within a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return frozenset(found)


def imported_modules(*folders: Path) -> set[str]:
    """Top-level modules from outside the standard library and this package that any file in the folders imports."""
    found = {module for folder in folders for path in folder.rglob("*.py") for module in imports_of(path)}
    return found - set(sys.stdlib_module_names) - {"pose_tracking"}


def message_fields(path: Path) -> list[str]:
    """Lines of a message definition that declare a field (not a constant)."""
    lines = [line for line in path.read_text().splitlines() if line.split("#")[0].strip()]
    return [line for line in lines if "=" not in line.split("#")[0]]


def is_ros(module: str) -> bool:
    return module.endswith(("_msgs", "_interfaces", "_srvs")) or module in {"rclpy", *OPTIONAL_ROS}


def test_versions_agree(manifest: ElementTree.Element, pyproject: dict[str, Any]) -> None:
    assert manifest.findtext("version") == pose_tracking.__version__
    assert pyproject["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pose_tracking.__version__"}


def test_names_and_licences_agree(manifest: ElementTree.Element, pyproject: dict[str, Any]) -> None:
    assert manifest.findtext("name") == pyproject["project"]["name"] == "pose_tracking"
    assert manifest.findtext("license") == pyproject["project"]["license"] == "Apache-2.0"
    licence = (ROOT / "LICENSE").read_text()
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_package_xml_is_accepted_by_the_ros_tools() -> None:
    catkin_pkg = pytest.importorskip("catkin_pkg.package")
    for path in (ROOT / "package.xml", ROOT / "interfaces" / "tf2_msgs" / "package.xml"):
        warnings: list[str] = []
        package = catkin_pkg.parse_package_string(path.read_text(), str(path), warnings=warnings)
        package.validate(warnings=warnings)
        assert warnings == []
        assert [group.name for group in package.member_of_groups] == ["rosidl_interface_packages"]


def test_every_message_is_built() -> None:
    built = re.findall(r'"msg/(\w+\.msg)"', CMAKE)
    assert sorted(built) == [path.name for path in MESSAGES]


def test_packages_that_messages_use_are_declared(manifest: ElementTree.Element) -> None:
    used = {name for path in MESSAGES for name in re.findall(r"^(\w+)/\w+", path.read_text(), re.MULTILINE)}
    generated = re.search(r"rosidl_generate_interfaces\([^)]*DEPENDENCIES ([^)]*)\)", CMAKE)
    assert generated is not None
    assert set(generated.group(1).split()) == used
    assert used <= set(re.findall(r"find_package\((\w+) REQUIRED\)", CMAKE))
    assert used <= depends(manifest, "depend")


@pytest.mark.parametrize("path", MESSAGES, ids=lambda path: path.stem)
def test_every_message_field_is_documented(path: Path) -> None:
    fields = message_fields(path)
    assert fields
    assert [line for line in fields if not line.partition("#")[2].strip()] == []


def test_imports_of_the_core_are_declared(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    declared = names(project["dependencies"])
    for extra in ("train", "benchmark", "openvino", "onnxruntime", "optimize", "gallery", "postgres", "web", "ray"):
        declared |= names(project["optional-dependencies"][extra])
    needed = {DISTRIBUTIONS.get(module, module) for module in imported_modules(PACKAGE) if not is_ros(module)}
    assert needed - declared == BY_HAND
    documented = (ROOT / "docs" / "installation.md").read_text()
    assert [name for name in BY_HAND if name not in documented] == []


def test_ros_imports_are_declared_for_both_routes(manifest: ElementTree.Element, pyproject: dict[str, Any]) -> None:
    used = {module for module in imported_modules(PACKAGE, ROOT / "launch") if is_ros(module)}
    assert "rclpy" in used
    assert used - depends(manifest, "depend", "exec_depend") - {"cv_bridge"} == set()
    wheels = {name.removeprefix("ros-kilted-") for name in names(pyproject["project"]["optional-dependencies"]["ros"])}
    assert {module.replace("_", "-") for module in used - OPTIONAL_ROS} - wheels == set()


def test_only_the_ros_room_imports_ros() -> None:
    rooms = [folder for folder in PACKAGE.iterdir() if folder.is_dir() and folder.name != "ros"]
    assert len(rooms) > 5
    assert {module for module in imported_modules(*rooms) if is_ros(module)} == set()


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_data_of_the_package_travels_in_the_wheel(pyproject: dict[str, Any]) -> None:
    patterns = pyproject["tool"]["setuptools"]["package-data"]["pose_tracking"]
    data = [p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix != ".py" and "__pycache__" not in p.parts]
    assert [p for p in data if not any(fnmatch(p.name, pattern.removeprefix("**/")) for pattern in patterns)] == []


def test_share_folders_agree_and_exist() -> None:
    built = re.search(r"install\(DIRECTORY ([a-z ]+)\s+DESTINATION share", CMAKE)
    assert built is not None
    without_ros = re.search(r"without_ros = \((.*)\)", (ROOT / "setup.py").read_text())
    assert without_ros is not None
    assert built.group(1).split() == re.findall(r'"(\w+)"', without_ros.group(1))
    assert [name for name in built.group(1).split() if not (ROOT / name).is_dir()] == []


def test_executables_are_installed_and_runnable() -> None:
    for program in re.findall(r"install\(PROGRAMS (\S+)", CMAKE):
        path = ROOT / program
        assert path.stat().st_mode & 0o111 == 0o111, f"{program} cannot be executed"
        target = re.search(r"^from (pose_tracking\.\S+) import main$", path.read_text(), re.MULTILINE)
        assert target is not None
        module = ROOT / (target.group(1).replace(".", "/") + ".py")
        functions = [node.name for node in ast.parse(module.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert "main" in functions


def test_requirements_script_prints_groups(pyproject: dict[str, Any]) -> None:
    script = [sys.executable, str(ROOT / "scripts" / "requirements.py")]
    printed = subprocess.run([*script, "build", "lint"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed == pyproject["build-system"]["requires"] + pyproject["project"]["optional-dependencies"]["lint"]
    unknown = subprocess.run([*script, "no-such-group"], capture_output=True, text=True)
    assert unknown.returncode != 0
    assert "no-such-group" in unknown.stderr


def test_constraints_are_within_the_declared_range(pyproject: dict[str, Any]) -> None:
    requirements = pytest.importorskip("packaging.requirements")
    declared = {
        requirement.name: requirement.specifier
        for requirement in map(requirements.Requirement, pyproject["project"]["dependencies"])
    }
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    constraints = list(map(requirements.Requirement, lines))
    assert {constraint.name for constraint in constraints} == {"torch", "torchvision"}
    for constraint in constraints:
        lowest = re.search(r">=([\d.]+)", str(constraint.specifier))
        assert lowest is not None
        assert declared[constraint.name].contains(lowest.group(1))
