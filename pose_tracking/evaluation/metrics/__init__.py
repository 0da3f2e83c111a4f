"""The metrics: poses, masks, tracking, confidence; and who is matched with whom."""
