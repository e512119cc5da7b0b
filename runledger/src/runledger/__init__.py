"""The lineage layer between Snakemake and DVC: recipes, records, verdicts.

Records decide what is valid, Snakemake runs what is not, DVC keeps the bytes. The
package reads a project's dvc.yaml, knows nothing of what the stages compute, and
imports neither snakemake nor dvc until a function that needs one of them is called.
"""
