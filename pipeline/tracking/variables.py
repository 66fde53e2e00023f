"""Environment variables by which a sweep tells its jobs where they belong; importing this costs nothing."""

PARENT_VARIABLE = "CONVOY_PARENT_RUN_ID"  # MLFLOW_RUN_ID would be resumed by every child
SWEPT_VARIABLE = "CONVOY_SWEPT_KEYS"  # keys of the overrides that differ between jobs, comma-separated
