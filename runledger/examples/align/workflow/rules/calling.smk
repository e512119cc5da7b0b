rule call:
    input:
        hits=expand("results/mapped/{sample}.tsv", sample=READS),
        reference=config["reference"],
    output:
        "results/calls/all.tsv",
    params:
        samples=list(READS),
    script:
        "../scripts/call.py"


rule plot:
    input:
        expand("results/mapped/{sample}.tsv", sample=READS),
    output:
        "results/plots/depth.svg",
    script:
        "../scripts/plot.py"


def title(counts):
    """One line a sample."""
    return "\n".join(f"{name}: {number} reads mapped" for name, number in counts)


rule report:
    input:
        counts=expand("results/mapped/{sample}.counts", sample=READS),
        calls="results/calls/all.tsv",
    output:
        directory("results/report"),
    run:
        from pathlib import Path

        folder = Path(output[0])
        folder.mkdir(parents=True, exist_ok=True)
        counts = [
            (name, Path(path).read_text().strip())
            for name, path in zip(READS, input.counts)
        ]
        (folder / "counts.txt").write_text(title(counts) + "\n")
        (folder / "calls.txt").write_text(Path(input.calls).read_text())
