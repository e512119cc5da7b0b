# What an item collects is listed in src/dash_repro/paper/items.py.
rule collect_results:
    input:
        unpack(
            LEDGER.needs(
                "collect_results",
                "{item}",
                members=LEDGER.deps("collect_results", "{item}"),
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
        **ASK.of("collect_results", "{item}"),
    params:
        run=RUN,
    shell:
        "{params.run}/collect_results.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule collect_images:
    input:
        unpack(
            LEDGER.needs(
                "collect_images",
                "{item}",
                members=LEDGER.deps("collect_images", "{item}"),
            )
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
        **ASK.of("collect_images", "{item}"),
    params:
        run=RUN,
    shell:
        "{params.run}/collect_images.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule make_table:
    input:
        unpack(
            LEDGER.needs(
                "make_table", "{item}", files=LEDGER.deps("make_table", "{item}")
            )
        ),
    output:
        tex="results/tables/{item}.tex",
        cells="results/tables/{item}.json",
    log:
        "results/logs/make_table/{item}.out",
    benchmark:
        "results/benchmarks/make_table/{item}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("make_table", "{item}"),
    params:
        run=RUN,
    shell:
        "{params.run}/make_table.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule plot_figure:
    input:
        unpack(
            LEDGER.needs(
                "plot_figure",
                "{item}",
                data=LEDGER.item("plot_figure", "{item}", "data"),
            )
        ),
    output:
        pdf="results/figures/{item}.pdf",
        png="results/figures/{item}.png",
    log:
        "results/logs/plot_figure/{item}.out",
    benchmark:
        "results/benchmarks/plot_figure/{item}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("plot_figure", "{item}"),
    params:
        run=RUN,
    shell:
        "{params.run}/plot_figure.py --recipe {input.recipe:q} > {log:q} 2>&1"


# On the head: LaTeX takes seconds, and its machine is the one where LaTeX was looked for.
rule build_paper:
    input:
        unpack(LEDGER.needs("build_paper", "", files=LEDGER.deps("build_paper", ""))),
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
        **ASK.of("build_paper", ""),
    params:
        run=RUN,
    shell:
        "{params.run}/build_paper.py --recipe {input.recipe:q} > {log:q} 2>&1"


rule build_page:
    input:
        unpack(LEDGER.needs("build_page", "", files=LEDGER.deps("build_page", ""))),
    output:
        "results/paper/index.html",
    log:
        "results/logs/build_page/_.out",
    benchmark:
        "results/benchmarks/build_page/_.tsv"
    conda:
        ENVIRONMENT
    resources:
        **ASK.of("build_page", ""),
    params:
        run=RUN,
    shell:
        "{params.run}/build_page.py --recipe {input.recipe:q} > {log:q} 2>&1"


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
        "PYTHONPATH=src {params.python} -m dash_repro.paper.incomplete > {log:q} 2>&1"
