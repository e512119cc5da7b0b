# Cut each read where its quality first falls below a bound.
awk -v bound="$1" '
  BEGIN { for (i = 33; i < 127; i++) value[sprintf("%c", i)] = i - 33 }
  NR % 4 == 1 { name = $0 }
  NR % 4 == 2 { letters = $0 }
  NR % 4 == 0 {
    keep = 0
    while (keep < length($0) && value[substr($0, keep + 1, 1)] >= bound) keep++
    if (keep > 0) printf "%s\n%s\n+\n%s\n", name, substr(letters, 1, keep), substr($0, 1, keep)
  }'
