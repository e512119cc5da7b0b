SAMPLES = "{dataset}-{model}-s{seed}-{sampler}"


rule generate_samples:
    input:
        unpack(
            LEDGER.needs(
                "generate_samples",
                SAMPLES,
                model=LEDGER.item("generate_samples", SAMPLES, "model_path"),
            )
        ),
    output:
        f"results/generate_samples/{SAMPLES}/samples.npz",
    log:
        f"results/logs/generate_samples/{SAMPLES}.log",
    benchmark:
        f"results/benchmarks/generate_samples/{SAMPLES}.tsv"
    shell:
        "{RUN}/generate_samples.py --recipe {input.recipe:q}"
