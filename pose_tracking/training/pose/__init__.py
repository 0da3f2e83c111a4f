"""Training the DenseFusion networks."""
