"""An MLflow store, as far as a campaign writes to it. Everything here raises whatever MLflow raises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from autoresearch_rl.telemetry import mlflow_database, mlflow_values
from autoresearch_rl.telemetry.mlflow_values import Point, millis

_MOST_METRICS, _MOST_OTHERS = 1000, 100


class Store:
    """One experiment of a store.

    Attributes:
        client: MLflow's own, for all that takes one call.
    """

    def __init__(self, uri: str) -> None:
        """Connects; a database that MLflow has not seen before is migrated now."""
        from mlflow.tracking import MlflowClient

        self.client: Any = MlflowClient(uri)
        self.client.search_experiments(max_results=1)
        self._uri, self._experiment_id = uri, ""

    def open(self, name: str, about: str) -> None:
        """Takes the experiment of that name, made with `about` as its description where there is none.

        Raises ValueError where it is in the trash.
        """
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                tags = mlflow_values.tags({"mlflow.note.content": about})
                self._experiment_id = str(self.client.create_experiment(name, artifact_location=self._artifacts(), tags=tags))
                return
            except Exception:  # another campaign may have made it meanwhile
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            raise ValueError(
                f"experiment {name!r} is in MLflow's trash; restore it, or set telemetry.mlflow.experiment to another name"
            )
        self._experiment_id = str(found.experiment_id)

    def runs(self, query: str) -> list[Any]:
        """All runs of the experiment that match."""
        found: list[Any] = []
        token = None
        while True:
            page = self.client.search_runs([self._experiment_id], query, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def create(self, at: str, facts: Mapping[str, object]) -> str:
        """Makes a run that began at this UTC time, with these tags; returns its id."""
        tags = mlflow_values.tags(facts)
        return str(self.client.create_run(self._experiment_id, start_time=millis(at), tags=tags).info.run_id)

    def log(
        self,
        run_id: str,
        *,
        points: Iterable[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Writes in batches no larger than MLflow takes."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*point) for point in points]
        others = [Param(*item) for item in (params or {}).items()]
        marks = [RunTag(*item) for item in (tags or {}).items()]
        while metrics or others or marks:
            # A batch holds a thousand items of all kinds together.
            batch = others[:_MOST_OTHERS], marks[:_MOST_OTHERS], metrics[: _MOST_METRICS - 2 * _MOST_OTHERS]
            self.client.log_batch(run_id, params=batch[0], tags=batch[1], metrics=batch[2])
            others, marks, metrics = others[len(batch[0]) :], marks[len(batch[1]) :], metrics[len(batch[2]) :]

    def _artifacts(self) -> str | None:
        """Beside the database; a server decides itself."""
        path = mlflow_database.sqlite_path(self._uri)
        return (path.parent / "mlartifacts").as_uri() if path is not None else None
