"""Networks that say what happens in a clip of 16 pictures."""
