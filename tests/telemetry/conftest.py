from pathlib import Path

import pytest

from autoresearch_rl.telemetry import mlflow_database


@pytest.fixture(scope="session")
def mlflow_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the template of new MLflow databases, so that the migrations run once for all tests."""
    cache = tmp_path_factory.mktemp("mlflow-cache")
    mlflow_database.create(tmp_path_factory.mktemp("first") / "mlflow.db", cache)
    return cache
