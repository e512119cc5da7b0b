rule extract_reference:
    input:
        unpack(
            LEDGER.needs(
                "extract_reference",
                "{dataset}",
                data="results/prepare_data/{dataset}/images.npz",
            )
        ),
    output:
        reference="results/extract_reference/{dataset}/reference.npz",
        bounds="results/extract_reference/{dataset}/bounds.json",
    log:
        "results/logs/extract_reference/{dataset}.out",
    benchmark:
        "results/benchmarks/extract_reference/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("extract_reference", "{dataset}"),
    params:
        run=RUN,
    shell:
        "{params.run}/extract_reference.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule compute_metrics:
    input:
        unpack(
            LEDGER.needs(
                "compute_metrics",
                SAMPLES,
                samples=f"results/generate_samples/{SAMPLES}/samples.npz",
                reference="results/extract_reference/{dataset}/reference.npz",
            )
        ),
    output:
        f"results/compute_metrics/{SAMPLES}/metrics.json",
    log:
        f"results/logs/compute_metrics/{SAMPLES}.out",
    benchmark:
        f"results/benchmarks/compute_metrics/{SAMPLES}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("compute_metrics", SAMPLES),
    params:
        run=RUN,
    shell:
        "{params.run}/compute_metrics.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule measure_calibration:
    input:
        unpack(
            LEDGER.needs(
                "measure_calibration",
                STUDENT,
                data="results/prepare_data/{dataset}/images.npz",
                teacher=of_teacher(
                    LEDGER,
                    STUDENT,
                    "results/train_teacher/{dataset}-{teacher}-s{seed}/model.safetensors",
                ),
                student=f"results/train_student/{STUDENT}/model.safetensors",
            )
        ),
    output:
        f"results/measure_calibration/{STUDENT}/calibration.json",
    log:
        f"results/logs/measure_calibration/{STUDENT}.out",
    benchmark:
        f"results/benchmarks/measure_calibration/{STUDENT}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("measure_calibration", STUDENT),
    params:
        run=RUN,
    shell:
        "{params.run}/measure_calibration.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule profile_model:
    input:
        unpack(
            LEDGER.needs(
                "profile_model",
                "{dataset}-{model}",
                model=LEDGER.item("profile_model", "{dataset}-{model}", "model_path"),
            )
        ),
    output:
        "results/profile_model/{dataset}-{model}/profile.json",
    log:
        "results/logs/profile_model/{dataset}-{model}.out",
    benchmark:
        "results/benchmarks/profile_model/{dataset}-{model}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("profile_model", "{dataset}-{model}"),
    params:
        run=RUN,
    shell:
        "{params.run}/profile_model.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule rank_pairs:
    input:
        unpack(
            LEDGER.needs(
                "rank_pairs",
                "{dataset}",
                pairs=LEDGER.deps("rank_pairs", "{dataset}"),
            )
        ),
    output:
        "results/rank_pairs/{dataset}/pairs.json",
    log:
        "results/logs/rank_pairs/{dataset}.out",
    benchmark:
        "results/benchmarks/rank_pairs/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("rank_pairs", "{dataset}"),
    params:
        run=RUN,
    shell:
        "{params.run}/rank_pairs.py --recipe {input.recipe:q} > {log:q} 2>&1"
