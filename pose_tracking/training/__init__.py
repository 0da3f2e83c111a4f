"""Training of the networks from packed simulated frames."""
