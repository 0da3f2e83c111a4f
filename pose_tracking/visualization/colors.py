"""Colours that stay with a track."""

from __future__ import annotations

import colorsys

GOLDEN_RATIO = 0.618033988749895


def color_of(track_id: int) -> tuple[int, int, int]:
    """RGB colour (0 to 255) of a track id: the same in every frame, and consecutive ids far apart in hue."""
    # Multiples of the golden ratio spread evenly over the hue circle however many there are.
    hue = (track_id * GOLDEN_RATIO) % 1.0
    value = 1.0 if (track_id // 5) % 2 == 0 else 0.85
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.8, value)
    return round(red * 255), round(green * 255), round(blue * 255)
