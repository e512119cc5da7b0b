"""List the places where enough reads of a sample differ from the reference."""

from collections import Counter

from reference import read

letters, least = read(snakemake.input.reference), snakemake.config["min_depth"]
with open(snakemake.output[0], "w") as file:
    for sample, path in zip(snakemake.params.samples, snakemake.input.hits):
        seen = Counter()
        for line in open(path):
            _, start, sequence = line.rstrip("\n").split("\t")
            for place, letter in enumerate(sequence, int(start)):
                if place < len(letters) and letter != letters[place]:
                    seen[place, letter] += 1
        for (place, letter), depth in sorted(seen.items()):
            if depth >= least:
                print(sample, place, letters[place], letter, depth, sep="\t", file=file)
