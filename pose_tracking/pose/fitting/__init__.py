"""Poses against the measured depth and colour: ICP, comparison, confidence, covariance, depth tracking."""
