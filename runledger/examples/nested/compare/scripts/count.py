"""Count the lines of a file that are equal."""

from collections import Counter

with open(snakemake.input[0]) as file:
    counts = Counter(line.strip() for line in file)
with open(snakemake.output[0], "w") as file:
    for word, number in sorted(counts.items()):
        if number >= snakemake.params.least:
            print(word, number, sep="\t", file=file)
