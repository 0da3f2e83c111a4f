"""A bundle from a detector that others have trained."""
