"""What a run of Snakemake shows: how far it is, what runs, what ended and how.

`plan` says in the head what the jobs are, `run` follows them, `estimate` says how much
is left, `words` spells it, `screen` puts it on a terminal or into a log, and `display`
takes Snakemake's events. snakemake_logger_plugin_runledger hands them over.
"""
