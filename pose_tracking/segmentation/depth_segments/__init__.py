"""A detector without a network, for objects that nothing was trained on."""
