"""Simulated RGB-D video with full ground truth."""
