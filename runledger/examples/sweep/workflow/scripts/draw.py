"""Print points around the line y = 2 x + 1."""

import random
import sys

size, noise = int(sys.argv[1]), float(sys.argv[2])
draws = random.Random(size)
for number in range(size):
    x = number / size
    print(f"{x:.4f},{2 * x + 1 + draws.gauss(0, noise):.6f}")
