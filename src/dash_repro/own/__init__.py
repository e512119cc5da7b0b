"""A run on own images: what a folder holds, what fits a time budget, and its files."""
