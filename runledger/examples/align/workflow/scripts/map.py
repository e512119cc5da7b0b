"""Map reads to where most of their letters agree; prints how many were mapped."""

import argparse
from pathlib import Path

from reference import read

parser = argparse.ArgumentParser()
parser.add_argument("--threads", type=int)
parser.add_argument("files", nargs=4)
reads, index, reference, hits = parser.parse_args().files
places = {}
for path in sorted(Path(index).glob("*.tsv")):
    for line in path.read_text().splitlines():
        word, *starts = line.split("\t")
        places[word] = [int(start) for start in starts]
length, letters, mapped = len(next(iter(places))), read(reference), 0
lines = Path(reads).read_text().splitlines()
with open(hits, "w") as file:
    for name, sequence in zip(lines[::4], lines[1::4]):
        starts = {
            start - offset
            for offset in range(len(sequence) - length + 1)
            for start in places.get(sequence[offset : offset + length], ())
        }
        agree = {
            start: sum(map(str.__eq__, sequence, letters[start:]))
            for start in starts
            if start >= 0
        }
        if agree:
            best = max(sorted(agree), key=agree.get)
            print(name[1:], best, sequence, sep="\t", file=file)
            mapped += 1
print(mapped)
