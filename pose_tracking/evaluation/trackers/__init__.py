"""Trackers on the same detections: recorded runs, other trackers, sweeps of options."""
