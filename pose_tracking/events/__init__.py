"""What happens to tracked objects: moved, carried, placed, fallen, knocked over, hidden, gone."""

from .config import EventConfig
from .detector import EventDetector

__all__ = ["EventConfig", "EventDetector"]
