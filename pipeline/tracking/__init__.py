"""Tracking: what MLflow keeps of runs; the only importer of mlflow."""

import os

os.environ.setdefault(
    "MLFLOW_DISABLE_TELEMETRY", "true"
)  # read when mlflow is imported: no stage phones home
