"""How good samples are, and how well a student's guidance gap is calibrated."""
