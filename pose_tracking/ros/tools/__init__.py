"""Processes around the node: playing bags, the demo, the reference."""
