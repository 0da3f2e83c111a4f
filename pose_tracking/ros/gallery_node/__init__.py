"""The node that keeps what several trackers see."""
