"""The reference's letters."""


def read(path):
    """Return the one sequence of a FASTA file."""
    with open(path) as file:
        return "".join(line.strip() for line in file if not line.startswith(">"))
