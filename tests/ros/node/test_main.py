"""Starting and ending the node: clear errors, exit statuses, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("pose_tracking.msg", reason="the messages of the package are not built")

from node_harness import HERE, ROOT, Harness, own_domain

from pose_tracking.ros.tools.process import start_node


def run_node(parameters, arguments=()):
    """Run the node to its end; (exit status, output)."""
    domain, lock = own_domain()
    path = os.pathsep.join([str(HERE), str(ROOT), *sys.path[1:]])
    with lock:
        process = start_node(
            parameters,
            module="ball_node",
            environment={"PYTHONPATH": path, "ROS_DOMAIN_ID": str(domain)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = process.communicate(timeout=180)
    return process.returncode, output.decode()


def test_an_unknown_model_ends_an_autostarted_node_with_one_line():
    status, output = run_node({"model": "no_such_model", "autostart": True})
    assert status == 1
    assert "cannot configure: unknown model 'no_such_model'" in output
    assert "Traceback" not in output


def test_corrupt_weights_end_it_with_one_line(tmp_path):
    bundle = tmp_path / "broken"
    bundle.mkdir()
    source = ROOT / "models" / "demo"
    for name in ("bundle.yaml", "models_info.json"):
        (bundle / name).write_bytes((source / name).read_bytes())
    (bundle / "meshes").symlink_to(source / "meshes")
    for name in ("segmentation", "pose", "refiner"):
        (bundle / f"{name}.safetensors").write_bytes(b"not weights at all")
    status, output = run_node({"model": str(bundle), "autostart": True})
    assert status == 1
    assert "cannot configure:" in output
    assert "segmentation.safetensors" in output
    assert "Traceback" not in output


def test_a_bad_parameter_ends_it_with_one_line():
    status, output = run_node({"model": "balls", "lambda": 7.0})
    assert status == 2
    assert "tracker_node: error: parameter lambda = 7.0 is outside 0 to 1" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_on_a_signal_even_twice(number):
    harness = Harness()
    try:
        harness.wait_active()
        assert harness.process is not None
        for _ in range(2):  # a terminal's Ctrl-C and a launch system each send one
            harness.process.send_signal(number)
        assert harness.process.wait(10) == 0
        assert "Traceback" not in harness.output
        assert "KeyboardInterrupt" not in harness.output
    finally:
        assert harness.close() == 0


def test_a_signal_while_the_model_is_loaded_is_no_error():
    status, output = run_node({"model": "interrupted balls", "autostart": True})
    assert status == 0
    assert "cannot configure" not in output
    assert "Traceback" not in output


def test_it_ends_while_inference_is_busy():
    from ball_scene import render
    from node_harness import color_message, depth_message, info_message

    harness = Harness(environment={"BALL_DELAY": "1.0"})
    try:
        harness.wait_active()
        assert harness.process is not None
        frame = render(0)
        harness.publish(color_message(frame), depth_message(frame), info_message(frame))
        harness.spin(lambda: False, 0.3)
        harness.process.send_signal(signal.SIGINT)
        assert harness.process.wait(10) == 0
        assert "Traceback" not in harness.output
    finally:
        assert harness.close() == 0


def test_without_autostart_it_waits_unconfigured():
    harness = Harness({"autostart": False})
    try:
        assert harness.spin(lambda: harness.values("tracking").get("state") == "unconfigured", 60), harness.output
        assert harness.state() == "unconfigured"
        assert harness.node.count_publishers("/tracker/objects") == 0
    finally:
        assert harness.close() == 0
