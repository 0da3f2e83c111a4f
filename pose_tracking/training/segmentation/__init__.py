"""Training the Mask R-CNN."""
