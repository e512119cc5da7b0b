EXTRACTOR = ["extractor.name", "extractor.mode", "extractor.weights_sha256"]
# the weights are what their sha256 says, wherever they come from
WEIGHTS = ["extractor.weights_url", "extractor.weights_path"]


rule train_classifier:
    input:
        unpack(
            LEDGER.needs(
                "train_classifier",
                data="results/prepare_data/{dataset}/images.npz",
            )
        ),
    output:
        model="results/train_classifier/{dataset}/model.safetensors",
        accuracy=in_git("results/train_classifier/{dataset}/accuracy.json"),
    log:
        "results/logs/train_classifier/{dataset}.out",
    benchmark:
        "results/benchmarks/train_classifier/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("train_classifier", COUNTER.train_classifier, gpu=True),
    params:
        run=RUN,
        counted=["train_classifier"],
    shell:
        "{params.run}/train_classifier.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule extract_reference:
    input:
        unpack(
            LEDGER.needs(
                "extract_reference",
                data="results/prepare_data/{dataset}/images.npz",
                classifier="results/train_classifier/{dataset}/model.safetensors",
            )
        ),
    output:
        reference="results/extract_reference/{dataset}/reference.npz",
        bounds=in_git("results/extract_reference/{dataset}/bounds.json"),
    log:
        "results/logs/extract_reference/{dataset}.out",
    benchmark:
        "results/benchmarks/extract_reference/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of(
            "extract_reference", COUNTER.extract_reference, gpu=True, kind="features"
        ),
    params:
        run=RUN,
        counted=EXTRACTOR
        + ["extract_reference", "compute_metrics", "generate_samples.num_samples"],
        uncounted=WEIGHTS,
    shell:
        "{params.run}/extract_reference.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule compute_metrics:
    input:
        unpack(
            LEDGER.needs(
                "compute_metrics",
                fields=PLAN.sampled,
                samples=f"results/generate_samples/{SAMPLES}/samples.npz",
                reference="results/extract_reference/{dataset}/reference.npz",
                classifier="results/train_classifier/{dataset}/model.safetensors",
            )
        ),
    output:
        metrics=in_git(f"results/compute_metrics/{SAMPLES}/metrics.json"),
        features=f"results/compute_metrics/{SAMPLES}/features.npz",
    log:
        f"results/logs/compute_metrics/{SAMPLES}.out",
    benchmark:
        f"results/benchmarks/compute_metrics/{SAMPLES}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of(
            "compute_metrics", COUNTER.compute_metrics, gpu=True, kind="features"
        ),
    params:
        run=RUN,
        counted=[*EXTRACTOR, "compute_metrics"],
        uncounted=WEIGHTS,
    shell:
        "{params.run}/compute_metrics.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule measure_calibration:
    input:
        unpack(
            LEDGER.needs(
                "measure_calibration",
                fields=PLAN.teacher,
                data="results/prepare_data/{dataset}/images.npz",
                teacher=f"results/train_teacher/{OF_TEACHER}/model.safetensors",
                student=f"results/train_student/{STUDENT}/model.safetensors",
            )
        ),
    output:
        calibration=in_git(f"results/measure_calibration/{STUDENT}/calibration.json"),
        pairs=f"results/measure_calibration/{STUDENT}/pairs.npz",
    log:
        f"results/logs/measure_calibration/{STUDENT}.out",
    benchmark:
        f"results/benchmarks/measure_calibration/{STUDENT}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("measure_calibration", COUNTER.measure_calibration, gpu=True),
    params:
        run=RUN,
        counted=[
            "diffusion",
            "measure_calibration.pairs",
            "measure_calibration.bins",
            "measure_calibration.seed",
            "measure_calibration.batch_size",
            "measure_calibration.numerics",
        ],
    shell:
        "{params.run}/measure_calibration.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule profile_model:
    input:
        unpack(
            LEDGER.needs(
                "profile_model",
                fields=PLAN.profiled,
                model="{model_path}",
            )
        ),
    output:
        in_git("results/profile_model/{dataset}-{label}/profile.json"),
    log:
        "results/logs/profile_model/{dataset}-{label}.out",
    benchmark:
        "results/benchmarks/profile_model/{dataset}-{label}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("profile_model", COUNTER.profile_model, gpu=True),
    params:
        run=RUN,
        counted=["profile_model"],
    shell:
        "{params.run}/profile_model.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule rank_pairs:
    input:
        unpack(
            LEDGER.needs(
                "rank_pairs",
                fields=PLAN.pairs,
                teacher="results/generate_samples/{teacher_samples}/samples.npz",
                student="results/generate_samples/{student_samples}/samples.npz",
                weights=PLAN.extractor_weights,
            )
        ),
    output:
        in_git("results/rank_pairs/{dataset}/pairs.json"),
    log:
        "results/logs/rank_pairs/{dataset}.out",
    benchmark:
        "results/benchmarks/rank_pairs/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("rank_pairs", COUNTER.rank_pairs, gpu=True, kind="features"),
    params:
        run=RUN,
        counted=[*EXTRACTOR, "rank_pairs"],
        uncounted=WEIGHTS,
    shell:
        "{params.run}/rank_pairs.py --recipe {input.recipe:q} > {log:q} 2>&1"
