rule prepare_data:
    input:
        unpack(LEDGER.needs("prepare_data", "{dataset}")),
    output:
        "results/prepare_data/{dataset}/images.npz",
    log:
        "results/logs/prepare_data/{dataset}.log",
    benchmark:
        "results/benchmarks/prepare_data/{dataset}.tsv"
    shell:
        "{RUN}/prepare_data.py --recipe {input.recipe:q}"
