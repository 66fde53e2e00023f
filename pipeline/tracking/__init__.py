"""Tracking: what MLflow keeps of runs; the only importer of mlflow."""
