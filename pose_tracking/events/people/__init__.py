"""What tracked people do, by rules on their keypoints."""
