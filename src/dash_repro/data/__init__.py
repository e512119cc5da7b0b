"""Labelled image datasets: where they come from, and the one file they become."""
