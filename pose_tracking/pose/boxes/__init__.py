"""Objects whose shape is not known: their place, an upright box and its size, measured on the depth in their masks."""
