"""One small workflow, as the user of each tool would write it.

measure (a, b, c: a file each) -> double (each) -> report: seven jobs. Every job writes
a line into the file $RUNS, so that what really ran can be counted.
"""

NAMES = ("a", "b", "c")
REPORT = "results/report.txt"
SIZE = 2_000_000  # of the data: above what Snakemake compares by checksum
SCRIPT = """\
import os, sys, time
target, *inputs, value = sys.argv[1:]
with open(os.environ["RUNS"], "a") as file:
    file.write(target + "\\n")
time.sleep(float(os.environ.get("SECONDS_A_JOB", "0")))
os.makedirs(os.path.dirname(target), exist_ok=True)
"""
SCRIPTS = {
    "measure": "number = len(open(inputs[0]).read()) * int(value)\n"
    "open(target, 'w').write(f'{number}\\n')\n",
    "double": "number = int(open(inputs[0]).read()) * int(value)\n"
    "open(target, 'w').write(f'{number}\\n')\n",
    "report": "texts = [open(name).read() for name in inputs]\n"
    "open(target, 'w').write(value + '\\n' + ''.join(texts))\n",
}
PARAMS = "scale: 10\nfactor: 2\ntitle: numbers\n"
SNAKEFILE = """\
configfile: "params.yaml"
rule all:
    input: "results/report.txt"
rule measure:
    input: data="data/{name}.txt", code="scripts/measure.py"
    output: "results/measure/{name}.txt"
    params: scale=config["scale"]
    shell: "python {input.code} {output} {input.data} {params.scale}"
rule double:
    input: data="results/measure/{name}.txt", code="scripts/double.py"
    output: "results/double/{name}.txt"
    params: factor=config["factor"]
    shell: "python {input.code} {output} {input.data} {params.factor}"
rule report:
    input:
        data=expand("results/double/{name}.txt", name=["a", "b", "c"]),
        code="scripts/report.py",
    output: "results/report.txt"
    params: title=config["title"]
    shell: "python {input.code} {output} {input.data} {params.title}"
"""
CACHED = SNAKEFILE.replace("    shell:", "    cache: True\n    shell:")
WITHOUT_CODE = SNAKEFILE  # scripts stand in the commands alone
for _name in SCRIPTS:
    _code = f'code="scripts/{_name}.py"'
    _before, _, _after = WITHOUT_CODE.partition(_code)
    WITHOUT_CODE = _before.rstrip(", \n") + _after.replace(
        "{input.code}", f"scripts/{_name}.py", 1
    )
DVC = """\
stages:
  measure:
    foreach: [a, b, c]
    do:
      cmd: >-
        python scripts/measure.py results/measure/${item}.txt data/${item}.txt ${scale}
      deps: [scripts/measure.py, "data/${item}.txt"]
      params: [scale]
      outs: ["results/measure/${item}.txt"]
  double:
    foreach: [a, b, c]
    do:
      cmd: >-
        python scripts/double.py results/double/${item}.txt results/measure/${item}.txt
        ${factor}
      deps: [scripts/double.py, "results/measure/${item}.txt"]
      params: [factor]
      outs: ["results/double/${item}.txt"]
  report:
    cmd: >-
      python scripts/report.py results/report.txt results/double/a.txt
      results/double/b.txt results/double/c.txt ${title}
    deps:
      - scripts/report.py
      - results/double/a.txt
      - results/double/b.txt
      - results/double/c.txt
    params: [title]
    outs: [results/report.txt]
"""
DATALAD = """\
set -e
value() { sed -n "s/^$1: //p" params.yaml; }
job() {
  target=$1; shift
  inputs=$(for file in "$@"; do [ -L $file -o -f $file ] && echo "-i $file"; done; :)
  datalad -l error -f disabled run --explicit -m "$target" $inputs -o "$target" \\
    "python scripts/$program.py $target $*"
}
program=measure
for n in a b c; do job results/measure/$n.txt data/$n.txt $(value scale); done
program=double
for n in a b c; do
  job results/double/$n.txt results/measure/$n.txt $(value factor)
done
program=report
job results/report.txt results/double/a.txt results/double/b.txt results/double/c.txt \\
  $(value title)
"""
