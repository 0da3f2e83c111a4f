"""Which sightings are of one thing: evidence from place, time and looks, and what people have decided."""
