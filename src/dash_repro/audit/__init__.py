"""From any printed number back to bytes: what a reviewer would object to."""
