"""Network parts that more than one stage is built from."""
