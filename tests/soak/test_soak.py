"""Hours of frames in which objects come and go: memory flat, latency stable, tracks bounded, IDs never used again."""

from __future__ import annotations

import time

import numpy as np
from soak_rig import Listener, NodeProcess, Rig

FRAME_NS = 400_000_000  # between frames of the scene, however fast they are sent
MOST_SLOPE_MB_PER_HOUR = 10.0
MOST_GROWTH_MB = 20.0
MOST_TRACKS = 30
MOST_SLOWDOWN = 1.5  # of the processor time for a frame
WRITE_EVERY = 30.0  # seconds


class Tracks:
    """IDs and numbers of tracks over the whole run."""

    def __init__(self) -> None:
        self.most, self.newest, self.reused = 0, 0, 0
        self.present: set[int] = set()

    def see(self, ids: list[int]) -> None:
        """Take the tracks of one answer: an ID is either one of the answer before, or larger than all so far, or it
        comes back from memory; a smaller one that nobody has had is a fault."""
        self.most = max(self.most, len(ids))
        self.reused += len(ids) - len(set(ids))
        for track_id in sorted(ids):
            if track_id > self.newest:
                self.newest = track_id
                self.present.add(track_id)
            elif track_id not in self.present:
                self.reused += 1


def stability(answers: list[tuple[float, float]]) -> dict[str, float]:
    """Latency and processor time (ms) for a frame in the second and the last quarter of the answers.

    Latency is that of the day: what else the machine does is in it. The processor time is the node's own.

    Args:
        answers: latency (s) of each, and the processor time (s) the node had used by then.
    """
    latency, used = np.array(answers).T
    quarter = max(len(answers) // 4, 1)
    second, last = slice(quarter - 1, 2 * quarter), slice(-quarter - 1, None)
    return {
        "latency_ms_second_quarter": round(float(np.median(latency[second])) * 1e3, 1),
        "latency_ms_last_quarter": round(float(np.median(latency[last])) * 1e3, 1),
        "largest_latency_ms": round(float(latency.max()) * 1e3, 1),
        "cpu_ms_second_quarter": round(float(np.ptp(used[second])) / quarter * 1e3, 1),
        "cpu_ms_last_quarter": round(float(np.ptp(used[last])) / quarter * 1e3, 1),
    }


def test_frames_for_hours(settings, make_frame):
    report = settings.report("soak")
    rig = Rig()
    process = NodeProcess(rig.domain, settings.parameters(segment_every=5))
    listener = Listener(rig)
    tracks = Tracks()
    answers: list[tuple[float, float]] = []
    process.start()
    try:
        rig.wait_active(process)
        begun = time.monotonic()
        index, answered, written = 0, 0, begun

        def figures() -> dict:
            return {
                "frames_sent": index,
                "frames_answered": answered,
                "frames_processed": listener.processed,
                "drops": listener.drops,
                "images_sent": rig.sent,
                "images_accounted_for": listener.accounted,
                "most_tracks": tracks.most,
                "newest_id": tracks.newest,
                "ids_out_of_order": tracks.reused,
                "per_frame": stability(answers) if answers else {},
                "tracebacks": process.tracebacks(),
                "alive": process.is_alive,
            }

        while (now := time.monotonic()) < begun + settings.minutes * 60:
            rig.publish_frame(make_frame(index, 10**18 + index * FRAME_NS))
            index += 1
            due = now + 1 / settings.rate
            rig.spin(lambda due=due: time.monotonic() >= due)  # type: ignore[misc]
            for message in listener.answers.values():
                tracks.see([thing.track_id for thing in message.objects])
                answers.append((message.processing_time, process.cpu_seconds()))
            answered += len(listener.answers)
            listener.answers.clear()
            assert process.is_alive
            report.sample_memory(process.rss_mb())
            if now - written > WRITE_EVERY:
                written = now
                report.write(**figures())
        rig.spin(lambda: listener.accounted >= rig.sent, 60.0)
        answered += len(listener.answers)
        result = figures()
        status = process.stop()
        report.write(exit_status=status, **result)
        report.draw()
        assert status == 0
        assert result["tracebacks"] == 0
        assert result["images_accounted_for"] == result["images_sent"]
        assert answered == result["frames_processed"] >= 0.1 * index  # a busy machine may let frames be overtaken
        assert 0 < tracks.most <= MOST_TRACKS
        assert tracks.reused == 0
        cost = result["per_frame"]
        assert cost["cpu_ms_last_quarter"] <= MOST_SLOWDOWN * cost["cpu_ms_second_quarter"]
        memory = report.memory_figures()
        assert memory["end_mb"] - memory["start_mb"] <= MOST_GROWTH_MB
        # The slope of a short run is that of the warm-up.
        assert memory["hours"] < 0.5 or memory["slope_mb_per_hour"] <= MOST_SLOPE_MB_PER_HOUR
        report.write("passed")
    finally:
        if report.figures["verdict"] != "passed":
            report.write("failed", log=process.log.read_text(errors="replace")[-5000:])
        process.stop()
        rig.close()
