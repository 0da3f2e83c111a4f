"""Views of the known objects, rendered once, and what of a frame looks like them."""
