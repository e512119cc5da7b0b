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
        "results/logs/collect_results/{item}.log",
    benchmark:
        "results/benchmarks/collect_results/{item}.tsv"
    shell:
        "{RUN}/collect_results.py --recipe {input.recipe:q}"


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
        "results/logs/collect_images/{item}.log",
    benchmark:
        "results/benchmarks/collect_images/{item}.tsv"
    shell:
        "{RUN}/collect_images.py --recipe {input.recipe:q}"


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
        "results/logs/make_table/{item}.log",
    benchmark:
        "results/benchmarks/make_table/{item}.tsv"
    shell:
        "{RUN}/make_table.py --recipe {input.recipe:q}"


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
        "results/logs/plot_figure/{item}.log",
    benchmark:
        "results/benchmarks/plot_figure/{item}.tsv"
    shell:
        "{RUN}/plot_figure.py --recipe {input.recipe:q}"


rule build_paper:
    input:
        unpack(LEDGER.needs("build_paper", "", files=LEDGER.deps("build_paper", ""))),
    output:
        "results/paper/main.pdf",
    log:
        "results/logs/build_paper/_.log",
    benchmark:
        "results/benchmarks/build_paper/_.tsv"
    shell:
        "{RUN}/build_paper.py --recipe {input.recipe:q}"


rule build_page:
    input:
        unpack(LEDGER.needs("build_page", "", files=LEDGER.deps("build_page", ""))),
    output:
        "results/paper/index.html",
    log:
        "results/logs/build_page/_.log",
    benchmark:
        "results/benchmarks/build_page/_.tsv"
    shell:
        "{RUN}/build_page.py --recipe {input.recipe:q}"
