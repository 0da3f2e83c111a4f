"""6D pose of detected instances: DenseFusion networks, refinement, ICP and the depth check."""
