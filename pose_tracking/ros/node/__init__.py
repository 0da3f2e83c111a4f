"""The lifecycle node and what it is made of."""
