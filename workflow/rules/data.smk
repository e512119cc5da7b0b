rule prepare_data:
    input:
        unpack(LEDGER.needs("prepare_data", "{dataset}")),
    output:
        "results/prepare_data/{dataset}/images.npz",
    log:
        "results/logs/prepare_data/{dataset}.out",
    benchmark:
        "results/benchmarks/prepare_data/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("prepare_data", "{dataset}"),
    params:
        run=RUN,
    shell:
        "{params.run}/prepare_data.py --recipe {input.recipe:q} > {log:q} 2>&1"
