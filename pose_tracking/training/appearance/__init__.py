"""Training the identity embedding."""
