"""What a run of Snakemake shows: why it runs, how far it is, what ended and how.

`reasons` and `plan` say in the head what is stale and what the jobs are, `run` follows
them, `estimate` says how much is left, `words` and `failures` spell it, `screen` puts
it on a terminal or into a log, and `display` takes the events of Snakemake that
snakemake_logger_plugin_runledger hands over.
"""
