"""Whatever is killed, paused, or set to another time: within ten good frames the node answers again."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.srv import ChangeState
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from soak_rig import Listener, NodeProcess, Rig
from soak_scene import scene_file
from std_srvs.srv import SetBool

from pose_tracking.datasets.bag.messages import stamp_of

MOST_FRAMES = 10
HOUR_NS = 3600 * 10**9


class Surroundings:
    """A node with a camera that the test plays itself, and what it took to recover from each event."""

    def __init__(self, settings, make_frame, **parameters) -> None:
        self.rig = Rig()
        self.process = NodeProcess(self.rig.domain, settings.parameters(**parameters))
        self.listener = Listener(self.rig)
        self.make_frame = make_frame
        self.index, self.now_ns, self.with_tf = 0, 10**18, False
        self.recoveries: list[int | None] = []
        self.process.start()
        try:
            self.rig.wait_active(self.process)
        except BaseException:  # nobody else will end the node
            self.close()
            raise

    def next_frame(self):
        """The next good frame."""
        self.index += 1
        self.now_ns += 33_000_000
        frame = self.make_frame(self.index, self.now_ns)
        return replace(frame, camera_pose=np.eye(4)) if self.with_tf else frame

    def recover(self) -> None:
        """Play good frames until one is answered."""
        self.recoveries.append(self.rig.frames_to_recover(self.listener, self.next_frame, MOST_FRAMES))
        assert self.recoveries[-1] is not None, self.process.log.read_text(errors="replace")[-3000:]
        self.listener.answers.clear()

    def play(self, seconds: float) -> None:
        """Play frames for a while, answered or not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.rig.publish_frame(self.next_frame())
            self.rig.spin(lambda: False, 0.1)

    def call(self, kind, name: str, request) -> None:
        """Call a service of the node that must succeed."""
        client: Any = self.rig.node.create_client(kind, f"/tracker/{name}")
        assert self.rig.spin(client.service_is_ready)
        future = client.call_async(request)
        assert self.rig.spin(future.done)
        response = future.result()
        assert response is not None
        assert response.success
        self.rig.node.destroy_client(client)

    def close(self) -> int:
        """End it all; the node's exit status."""
        status = self.process.stop()
        self.rig.close()
        return status


@pytest.fixture
def report(settings, request):
    report = settings.report(request.node.name.removeprefix("test_"))
    yield report
    report.write("passed" if report.figures.get("done") else "failed")


def finish(report, surroundings: Surroundings, **figures) -> None:
    """Close, and report."""
    tracebacks = surroundings.process.tracebacks()
    status = surroundings.close()
    recovered = surroundings.recoveries
    report.write(frames_to_recover=recovered, tracebacks=tracebacks, exit_status=status, **figures)
    assert tracebacks == 0
    assert status == 0
    assert all(n is not None and n <= MOST_FRAMES for n in recovered)
    report.write(done=True)


def test_a_camera_that_is_killed_and_started_again(settings, make_small_frame, rng, report):
    surroundings = Surroundings(settings, make_small_frame)
    rig, listener = surroundings.rig, surroundings.listener
    for publisher in rig.cameras.pop("/camera"):
        rig.node.destroy_publisher(publisher)
    stamps: list[int] = []
    rig.node.create_subscription(CameraInfo, "/camera/color/camera_info", lambda m: stamps.append(stamp_of(m)), 50)
    is_balls = settings.model == "balls"
    source, step = ("balls", "2") if is_balls else (str(scene_file()), "5")
    command = [sys.executable, "-m", "soak_camera", source, "10" if is_balls else "1", step]
    node = surroundings.process
    for _ in range(settings.restarts + 1):
        stamps.clear()
        listener.answers.clear()
        with node.log.open("ab") as output:
            camera = subprocess.Popen(command, env=node._environment, stdout=output, stderr=subprocess.STDOUT)
        try:

            def answered() -> list[int]:
                return [n for n, stamp in enumerate(list(stamps), 1) if stamp in listener.answers]

            assert rig.spin(answered, 240.0), (len(stamps), node.log.read_text(errors="replace")[-3000:])
            surroundings.recoveries.append(min(answered()))
            rig.spin(lambda: False, float(rng.uniform(0, 3)))
        finally:
            camera.kill()
            camera.wait()
        report.sample_memory(node.rss_mb())
    finish(report, surroundings, restarts=settings.restarts)


def test_a_node_that_is_killed_and_started_again(settings, make_small_frame, rng, report):
    surroundings = Surroundings(settings, make_small_frame)
    surroundings.recover()
    for _ in range(settings.restarts):
        surroundings.play(float(rng.uniform(0, 2)))
        surroundings.process.kill()
        surroundings.play(float(rng.uniform(0, 1)))
        surroundings.process.start()
        if rng.random() < 0.2:  # before it is up
            surroundings.rig.spin(lambda: False, float(rng.uniform(0, 5)))
            surroundings.process.kill()
            surroundings.process.start()
        surroundings.listener.forget()
        surroundings.rig.wait_active(surroundings.process)
        surroundings.recover()
    finish(report, surroundings, restarts=settings.restarts)


def test_pauses(settings, make_small_frame, rng, report):
    surroundings = Surroundings(settings, make_small_frame)
    surroundings.recover()
    for number in range(settings.restarts):
        surroundings.play(float(rng.uniform(0, 1)))
        if number % 2:
            for label in ("deactivate", "activate"):
                request = ChangeState.Request()
                request.transition.label = label
                surroundings.call(ChangeState, "change_state", request)
                surroundings.play(float(rng.uniform(0, 0.5)))
            surroundings.rig.wait_active(surroundings.process)
        else:
            for on in (False, True):
                surroundings.call(SetBool, "enable", SetBool.Request(data=on))
                surroundings.play(float(rng.uniform(0, 0.5)))
        surroundings.recover()
        report.sample_memory(surroundings.process.rss_mb())
    finish(report, surroundings, pauses=settings.restarts)


def test_clocks_that_jump(settings, make_small_frame, rng, report):
    surroundings = Surroundings(settings, make_small_frame, use_sim_time=True)

    def tell_time() -> None:
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(surroundings.now_ns, 10**9)
        surroundings.rig.clock.publish(message)

    surroundings.recover()
    for number in range(settings.restarts):
        sign = -1 if number % 2 else 1
        surroundings.now_ns += sign * int(rng.choice([1, 60, 3600, 86400 * 365])) * 10**9
        if rng.random() < 0.7:  # else the camera's clock alone
            tell_time()
        surroundings.recover()
        surroundings.play(float(rng.uniform(0, 0.5)))
        report.sample_memory(surroundings.process.rss_mb())
    finish(report, surroundings, jumps=settings.restarts)


def test_a_transform_that_stops_and_comes_back(settings, make_small_frame, rng, report):
    surroundings = Surroundings(settings, make_small_frame, fixed_frame="map", tf_timeout=0.5)
    surroundings.with_tf = True
    surroundings.recover()
    for _ in range(settings.restarts):
        surroundings.play(float(rng.uniform(0.5, 2)))  # no TF with these
        surroundings.listener.answers.clear()
        if rng.random() < 0.3:
            surroundings.now_ns += int(rng.choice([-1, 1])) * HOUR_NS
        surroundings.recover()
        report.sample_memory(surroundings.process.rss_mb())
    drops = surroundings.listener.drops
    finish(report, surroundings, stops=settings.restarts, drops=drops)
    assert drops["no_transform"] > 0


def test_two_nodes_on_one_machine(settings, make_small_frame, rng, report):
    cameras = ("/left/camera", "/right/camera")
    rig = Rig(cameras)
    processes = [NodeProcess(rig.domain, settings.parameters(camera=c), c.removesuffix("/camera")) for c in cameras]
    listeners = [Listener(rig, process.namespace) for process in processes]
    state = {"index": 0, "now_ns": 10**18}
    recoveries: list[int | None] = []

    def next_frame():
        state["index"] += 1
        state["now_ns"] += 33_000_000
        return make_small_frame(state["index"], state["now_ns"])

    try:
        for process, camera in zip(processes, cameras, strict=True):
            process.start()
            rig.wait_active(process, camera)
        for number in range(max(settings.restarts // 5, 1) + 1):
            for listener, camera in zip(listeners, cameras, strict=True):
                recoveries.append(rig.frames_to_recover(listener, next_frame, camera=camera))
            # What went to one camera is answered by its node alone.
            assert not set(listeners[0].answers) & set(listeners[1].answers)
            killed = number % 2
            processes[killed].kill()
            other = 1 - killed
            recoveries.append(rig.frames_to_recover(listeners[other], next_frame, camera=cameras[other]))
            processes[killed].start()
            rig.wait_active(processes[killed], cameras[killed])
            for listener in listeners:
                listener.forget()
        tracebacks = [process.tracebacks() for process in processes]
        statuses = [process.stop() for process in processes]
        report.write(frames_to_recover=recoveries, tracebacks=tracebacks, exit_statuses=statuses)
        assert tracebacks == statuses == [0, 0]
        assert all(n is not None and n <= MOST_FRAMES for n in recoveries)
        report.write(done=True)
    finally:
        for process in processes:
            process.stop()
        rig.close()
