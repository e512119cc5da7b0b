# What an item collects is said where it is defined: src/dash_repro/paper/tables and figures.
rule collect_results:
    input:
        unpack(
            LEDGER.needs(
                "collect_results", fields=PLAN.collected, members=PLAN.members
            )
        ),
    output:
        "results/collect_results/{item}.csv",
    log:
        "results/logs/collect_results/{item}.out",
    benchmark:
        "results/benchmarks/collect_results/{item}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("collect_results"),
    params:
        run=RUN,
        counted=PLAN.shown,
    shell:
        "{params.run}/collect_results.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule collect_images:
    input:
        unpack(
            LEDGER.needs("collect_images", fields=PLAN.collected, members=PLAN.members)
        ),
    output:
        "results/collect_images/{item}.npz",
    log:
        "results/logs/collect_images/{item}.out",
    benchmark:
        "results/benchmarks/collect_images/{item}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("collect_images", COUNTER.collect_images),
    params:
        run=RUN,
        counted=PLAN.shown,
    shell:
        "{params.run}/collect_images.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule make_table:
    input:
        unpack(
            LEDGER.needs(
                "make_table",
                data="results/collect_results/{item}.csv",
                sources=PLAN.sources,
            )
        ),
    output:
        tex=in_git("results/tables/{item}.tex"),
        cells=in_git("results/tables/{item}.json"),
    log:
        "results/logs/make_table/{item}.out",
    benchmark:
        "results/benchmarks/make_table/{item}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("make_table"),
    params:
        run=RUN,
        counted=["scale", "make_table"],
    shell:
        "{params.run}/make_table.py --recipe {input.recipe:q} > {log:q} 2>&1"


# What `dvc metrics` shows: files of metrics have too many fields for that
rule summarize_results:
    input:
        unpack(
            LEDGER.needs(
                "summarize_results", data="results/collect_results/table3.csv"
            )
        ),
    output:
        metric("results/summarize_results/metrics.json"),
    log:
        "results/logs/summarize_results/_.out",
    benchmark:
        "results/benchmarks/summarize_results/_.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("summarize_results"),
    params:
        run=RUN,
        counted=[],
    shell:
        "{params.run}/summarize_results.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule plot_figure:
    input:
        unpack(LEDGER.needs("plot_figure", fields=PLAN.plotted, data="{data}")),
    output:
        pdf="results/figures/{item}.pdf",
        png=report(
            "results/figures/{item}.png",
            caption="../report/item.rst",
            category="Figures",
            labels=PLAN.labels,
        ),
        caption="results/figures/{item}.json",
    log:
        "results/logs/plot_figure/{item}.out",
    benchmark:
        "results/benchmarks/plot_figure/{item}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("plot_figure", COUNTER.plot_figure),
    params:
        run=RUN,
        counted=["scale", "plot_figure"],
        caption=PLAN.caption,
    shell:
        "{params.run}/plot_figure.py --recipe {input.recipe:q} > {log:q} 2>&1"


# On the head: LaTeX takes seconds, and its machine is the one where LaTeX was looked for.
rule build_paper:
    input:
        unpack(LEDGER.needs("build_paper", fields=PLAN.paper, files=PLAN.pdf_files)),
    output:
        "results/paper/main.pdf",
    log:
        "results/logs/build_paper/_.out",
    benchmark:
        "results/benchmarks/build_paper/_.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **RESOURCES.of("build_paper", bundle=""),
    params:
        run=RUN,
        counted=["scale"],
    shell:
        "{params.run}/build_paper.py --recipe {input.recipe:q} > {log:q} 2>&1"


# On request only: tables of what there is, marked incomplete, missing cells saying why; in results/incomplete,
# which no record and no paper reads.
rule incomplete_tables:
    log:
        "results/logs/incomplete_tables.out",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        python=verbatim(PYTHON),
    shell:
        "PYTHONPATH=src:runledger/src {params.python} -m dash_repro.paper.incomplete > {log:q} 2>&1"
