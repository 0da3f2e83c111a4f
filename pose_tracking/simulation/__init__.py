"""Rendered RGB-D data of known objects: training frames, sequences, sensor noise, and the demo object set."""
