"""Environment variables by which a sweep passes its context to its jobs; this module imports nothing."""

PARENT_VARIABLE = "CONVOY_PARENT_RUN_ID"  # not MLFLOW_RUN_ID, which every child would resume
SEARCH_VARIABLE = "CONVOY_SEARCH"  # the folder of the search that jobs are trials of
RUN_VARIABLE = "CONVOY_RUN"  # the folder of the run that the other processes of a distributed training join
SWEPT_VARIABLE = "CONVOY_SWEPT_KEYS"  # keys of the overrides that differ between jobs, comma-separated
