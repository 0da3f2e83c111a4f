"""Independent, domain-randomised training frames."""
