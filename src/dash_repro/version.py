"""The version of the package (in no stage's code, so that it makes nothing stale)."""

__version__ = "0.1.0"
