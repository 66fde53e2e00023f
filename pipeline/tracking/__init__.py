"""Tracking: runs and their results in MLflow; the only importer of mlflow."""

import os

os.environ.setdefault(
    "MLFLOW_DISABLE_TELEMETRY", "true"
)  # read when mlflow is imported: no stage sends telemetry
