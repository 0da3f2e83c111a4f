"""Deep SORT over RoIAlign features, with a smoothed 6D pose for every track."""

from .config import TrackingConfig
from .tracker import Tracker

__all__ = ["Tracker", "TrackingConfig"]
