rule index:
    input:
        config["reference"],
    output:
        directory("results/index"),
    params:
        length=config["seed_length"],
    shell:
        "python workflow/scripts/index.py {input} {params.length} {output}"


rule trim:
    input:
        lambda wildcards: READS[wildcards.sample],
    output:
        "results/trimmed/{sample}.fastq",
    params:
        quality=config["min_quality"],
    shell:
        "bash workflow/scripts/trim.sh {params.quality} < {input} > {output}"


rule map:
    input:
        reads="results/trimmed/{sample}.fastq",
        index="results/index",
        reference=config["reference"],
    output:
        hits="results/mapped/{sample}.tsv",
        counts="results/mapped/{sample}.counts",
    log:
        "logs/map/{sample}.log",
    threads: 2
    shell:
        "python workflow/scripts/map.py --threads {threads} {input.reads} {input.index}"
        " {input.reference} {output.hits} > {output.counts} 2> {log}"
