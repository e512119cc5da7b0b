"""Draw how many letters of reads each tenth of the reference has, a bar each."""

bars = [0] * 40
for path in snakemake.input:
    for line in open(path):
        _, start, sequence = line.rstrip("\n").split("\t")
        for place in range(int(start), int(start) + len(sequence)):
            bars[min(place // 10, 39)] += 1
shapes = "".join(
    f'<rect x="{10 * n}" y="{200 - bar // 2}" width="9" height="{bar // 2}"/>'
    for n, bar in enumerate(bars)
)
with open(snakemake.output[0], "w") as file:
    file.write(f'<svg xmlns="http://www.w3.org/2000/svg">{shapes}</svg>\n')
