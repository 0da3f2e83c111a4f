"""Deep SORT over RoIAlign features, with a smoothed 6D pose for every track."""

from .config import TrackingConfig
from .matching import Association
from .tracker import Tracker

__all__ = ["Association", "Tracker", "TrackingConfig"]
