"""Making bundles: from CAD files, or from published DenseFusion checkpoints."""
