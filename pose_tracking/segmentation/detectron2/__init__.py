"""A user's own detectron2 training as the segmenter."""
