"""Write where each word of some letters is in the reference, a file a first letter."""

import sys
from pathlib import Path

from reference import read

path, length, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
letters = read(path)
places = {}
for start in range(len(letters) - length + 1):
    places.setdefault(letters[start : start + length], []).append(start)
folder.mkdir(parents=True, exist_ok=True)
for first in "ACGT":
    with open(folder / f"{first}.tsv", "w") as file:
        for word in sorted(word for word in places if word[0] == first):
            print(word, *places[word], sep="\t", file=file)
