"""The memory of what was seen: sightings of several cameras, their identities, and the search over both."""
