"""Fit a line by gradient descent from a random start."""

import json
import random

wildcards = snakemake.wildcards
rate = float(wildcards.rate)
points = [tuple(map(float, line.split(","))) for line in open(snakemake.input[0])]
draws = random.Random(int(wildcards.seed))
slope, height = draws.gauss(0, 1), draws.gauss(0, 1)
for _ in range(snakemake.params.steps):
    errors = [(slope * x + height - y, x) for x, y in points]
    slope -= rate * sum(error * x for error, x in errors) / len(points)
    height -= rate * sum(error for error, _ in errors) / len(points)
score = sum((slope * x + height - y) ** 2 for x, y in points) / len(points)
with open(snakemake.output.line, "w") as file:
    json.dump({"slope": round(slope, 6), "height": round(height, 6)}, file)
with open(snakemake.output.score, "w") as file:
    file.write(f"{score:.6f}\n")
