"""Model bundles: objects, weights and options in one folder."""
