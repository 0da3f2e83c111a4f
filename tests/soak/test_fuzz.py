"""Malformed messages of every kind over DDS, mixed with good frames: the node lives, answers, and counts every drop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fuzz_messages import Drawn, Kind
from fuzz_requests import Requests
from fuzz_spoilers import STEP_NS, Frame
from sensor_msgs.msg import Image
from soak_report import Report
from soak_rig import Listener, NodeProcess, Rig

from pose_tracking.datasets.bag.messages import stamp_of

WINDOW = 90  # frames on their way: less than the node's queue holds
BURST = {"demo": 450, "balls": 90}
MOST_GROWTH_MB = 40.0


class Fuzzer:
    """One run: bursts of malformed messages, each followed by good frames until one is answered."""

    def __init__(self, rig, process, listener, make_frame, rng, report: Report, with_tf: bool) -> None:
        self.rig: Rig = rig
        self.process: NodeProcess = process
        self.listener: Listener = listener
        self.make_frame, self.rng, self.report, self.with_tf = make_frame, rng, report, with_tf
        self.drawn = Drawn()
        self.requests = Requests(rig, rng)
        self.index, self.now_ns = 0, 10**18
        self.refused: set[int] = set()
        self.answered_refused = 0
        self.recoveries: list[int | None] = []

    def next_frame(self):
        """The next good frame."""
        self.index += 1
        self.now_ns += STEP_NS
        frame = self.make_frame(self.index // 10, self.now_ns)
        return replace(frame, camera_pose=np.eye(4)) if self.with_tf else frame

    def burst(self, count: int) -> None:
        """Send malformed messages, then good frames until one is answered."""
        self.listener.answers.clear()
        self.refused.clear()
        for number in range(1, count + 1):
            self._send(*self.drawn.draw(self.next_frame(), self.rng))
            if number % WINDOW == 0:
                self.catch_up()
            elif number % 10 == 0:
                self.rig.spin(lambda: False, 0.001)
        self.requests.send(3)
        self.recoveries.append(self.rig.frames_to_recover(self.listener, self.next_frame))
        self.answered_refused += len(self.refused & set(self.listener.answers))
        assert self.process.is_alive
        self.report.sample_memory(self.process.rss_mb())

    def _send(self, kind: Kind, frame: Frame) -> None:
        if self.with_tf and kind.has_frame:
            self.rig.place_camera(frame.source.stamp_ns)
        if frame.tf is not None:
            self.rig.tf.publish(frame.tf)
        self.rig.publish(frame.color, frame.depth, frame.info)
        # Serialised by hand, but an image: all others that are bytes end in the middleware.
        self.rig.sent += kind.has_frame and isinstance(frame.color, bytes)
        if kind.is_refused:
            self.refused.add(frame.source.stamp_ns)
        else:  # with this one's stamp, what was refused may find a partner after all
            self.refused -= {stamp_of(m) for m in (frame.color, frame.depth) if isinstance(m, Image)}

    def catch_up(self) -> None:
        """Wait until the node has taken all images that were sent."""
        self.rig.spin(lambda: self.listener.received >= self.rig.sent or not self.process.is_alive, 30.0)
        assert self.process.is_alive, self.process.log.read_text(errors="replace")[-3000:]

    def finish(self) -> None:
        """Let no image wait for its partner any more, and hear the last counters."""
        for _ in range(12):
            frame = self.next_frame()
            self.rig.publish_frame(frame)
        self.recoveries.append(self.rig.frames_to_recover(self.listener, self.next_frame))
        self.rig.spin(lambda: self.listener.accounted >= self.rig.sent, 60.0)
        reports = self.listener.reports
        self.rig.spin(lambda: self.listener.reports >= reports + 2, 10.0)

    def figures(self) -> dict:
        """What came of it."""
        recovered = [n for n in self.recoveries if n is not None]
        return {
            "malformed_messages": sum(self.drawn.counts.values()),
            "malformed_by_kind": dict(sorted(self.drawn.counts.items())),
            "rubbish_requests": self.requests.count,
            "bursts": len(self.recoveries),
            "not_recovered": len(self.recoveries) - len(recovered),
            "most_frames_to_recover": max(recovered, default=0),
            "mean_frames_to_recover": round(float(np.mean(recovered)), 2) if recovered else None,
            "answers_to_what_had_to_be_refused": self.answered_refused,
            "images_sent": self.rig.sent,
            "images_received": self.listener.received,
            "images_accounted_for": self.listener.accounted,
            "frames_processed": self.listener.processed,
            "drops": self.listener.drops,
            "failed_callbacks": int(self.listener.values.get("tracking", {}).get("failed_callbacks", 0)),
        }


@pytest.mark.parametrize("surroundings", ["plain", "tf and clock"])
def test_malformed_messages(settings, make_small_frame, rng, surroundings):
    with_tf = surroundings != "plain"
    report = settings.report("fuzz_" + surroundings.replace(" ", "_"))
    more = {"fixed_frame": "map", "use_sim_time": True, "tf_timeout": 0.5} if with_tf else {}
    rig = Rig()
    process = NodeProcess(rig.domain, settings.parameters(**more))
    listener = Listener(rig)
    process.start()
    try:
        rig.wait_active(process)
        fuzzer = Fuzzer(rig, process, listener, make_small_frame, rng, report, with_tf)
        fuzzer.recoveries.append(rig.frames_to_recover(listener, fuzzer.next_frame, wait=60.0))
        report.sample_memory(process.rss_mb())
        wanted = settings.messages // 2
        while (left := wanted - sum(fuzzer.drawn.counts.values())) > 0:
            fuzzer.burst(min(left, BURST[settings.model]))
            report.write(**fuzzer.figures())
        fuzzer.finish()
        status = process.stop()
        figures = fuzzer.figures() | {"exit_status": status, "tracebacks": process.tracebacks()}
        report.write(**figures)
        report.draw()
        assert status == 0
        assert figures["not_recovered"] == 0
        assert figures["most_frames_to_recover"] <= 10
        assert figures["answers_to_what_had_to_be_refused"] == 0
        assert figures["images_sent"] == figures["images_received"] == figures["images_accounted_for"]
        assert "internal_error" not in figures["drops"]
        memory = report.memory_figures()
        assert memory["end_mb"] - memory["start_mb"] <= MOST_GROWTH_MB
        report.write("passed")
    finally:
        if report.figures["verdict"] != "passed":
            report.write("failed", log=process.log.read_text(errors="replace")[-5000:])
        process.stop()
        rig.close()
