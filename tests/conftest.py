"""Settings of hypothesis, and fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default", deadline=None, max_examples=50, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def mlflow_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the template of new MLflow databases, so that the migrations run once for all tests."""
    from autoresearch_rl.telemetry import mlflow_database

    cache = tmp_path_factory.mktemp("mlflow-cache")
    mlflow_database.create(tmp_path_factory.mktemp("first") / "mlflow.db", cache)
    return cache
