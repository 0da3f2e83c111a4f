"""Training of the clip network."""
