"""Where pose hypotheses come from: the networks on crops, and a search over rotations."""
