"""A report: its numbers, its files, its page, its plots."""
