"""Environment variables by which a sweep tells its jobs where they belong; importing this costs nothing."""

PARENT_VARIABLE = "CONVOY_PARENT_RUN_ID"  # MLFLOW_RUN_ID would be resumed by every child
SEARCH_VARIABLE = "CONVOY_SEARCH"  # the folder of the search that jobs are trials of
RUN_VARIABLE = "CONVOY_RUN"  # the folder of the run that processes beside the leading one train too
SWEPT_VARIABLE = "CONVOY_SWEPT_KEYS"  # keys of the overrides that differ between jobs, comma-separated
