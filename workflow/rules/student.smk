STUDENT = "{dataset}-{student}-w{width}-s{seed}"


rule train_student:
    input:
        unpack(
            LEDGER.needs(
                "train_student",
                STUDENT,
                data="results/prepare_data/{dataset}/images.npz",
                teacher=of_teacher(
                    LEDGER,
                    STUDENT,
                    "results/train_teacher/{dataset}-{teacher}-s{seed}/model.safetensors",
                ),
                tirt=of_teacher(
                    LEDGER,
                    STUDENT,
                    "results/export_tirt/{dataset}-{teacher}-s{seed}/tirt.safetensors",
                ),
            )
        ),
    output:
        model=f"results/train_student/{STUDENT}/model.safetensors",
        history=f"results/train_student/{STUDENT}/history.csv",
        cost=f"results/train_student/{STUDENT}/cost.json",
    log:
        f"results/logs/train_student/{STUDENT}.out",
    benchmark:
        f"results/benchmarks/train_student/{STUDENT}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("train_student", STUDENT),
    params:
        run=RUN,
    shell:
        "{params.run}/train_student.py --recipe {input.recipe:q} > {log:q} 2>&1"
