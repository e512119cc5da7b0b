# Class folders are inputs by content; where they lie does not count, nor where torchvision keeps its archives,
# which it checks by their md5.
rule prepare_data:
    input:
        unpack(LEDGER.needs("prepare_data", images=PLAN.class_folders)),
    output:
        "results/prepare_data/{dataset}/images.npz",
    log:
        "results/logs/prepare_data/{dataset}.out",
    benchmark:
        "results/benchmarks/prepare_data/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("prepare_data", COUNTER.prepare_data, bundle=""),
    params:
        run=RUN,
        counted=PLAN.dataset_params,
        uncounted=["prepare_data.{dataset}.path"],
    shell:
        "{params.run}/prepare_data.py --recipe {input.recipe:q} > {log:q} 2>&1"
