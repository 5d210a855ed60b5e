"""The Rust core: resource pool, learning-curve forecasts, patches, sealing, launcher. The GIL is released around work."""

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

__all__ = [
    "Forecast",
    "Grant",
    "GrowingCurve",
    "Pool",
    "Sealed",
    "__version__",
    "apply_patch",
    "diff",
    "forecast",
    "forecasts",
    "hash_file",
    "hash_tree",
    "reintroduced",
    "run_launcher",
    "seal_file",
    "seal_tree",
]

__version__: str
"""Version of the crate."""

@final
class Grant:
    """Resources granted to a request."""

    @property
    def key(self) -> int:
        """Key of the request."""
    @property
    def amounts(self) -> dict[str, float]:
        """Amounts by name, in the units of the capacity; of devices their number, or the share of one."""
    @property
    def devices(self) -> dict[str, tuple[int, ...]]:
        """Indices of the devices by name, for the names that have devices."""

@final
class Pool:
    """Named fractional resources as a deterministic, non-blocking state machine: FIFO with backfill that cannot delay the head.

    `devices` names the resources that come as indexed devices, with their indices; a request for a fraction below 1 shares
    one device, other requests for devices must be whole. A name in both mappings must have the number of its devices as
    capacity. Amounts are kept in integer millionths, at most 1e12; an amount of 0 is as good as none. Raises PoolError on
    amounts that are negative, not finite or too large, and on a device listed twice.

    How long holders hold is unknown. A request that is not the oldest starts only if in every order in which today's holders may
    release, the oldest starts as early as it would without it: EASY backfilling (Mu'alem and Feitelson, 2001) without run times.
    """

    def __new__(cls, capacity: Mapping[str, float], devices: Mapping[str, Sequence[int]] | None = ...) -> Pool: ...
    def submit(self, key: int, request: Mapping[str, float]) -> list[Grant]:
        """Queues a request; returns what can be granted now. Raises PoolError if it can never be granted or the key is in use."""
    def withdraw(self, key: int) -> list[Grant]:
        """Takes back a waiting request; returns what can be granted now. Raises PoolError if the key does not wait."""
    def release(self, key: int, names: Sequence[str] | None = None) -> list[Grant]:
        """Gives back all that `key` holds, or only `names`; returns what can be granted now.

        Raises PoolError if it holds nothing, or nothing of one of the names.
        """
    @property
    def waiting(self) -> list[int]:
        """Keys that wait, oldest first."""
    @property
    def holding(self) -> list[int]:
        """Keys that hold something, in ascending order."""
    @property
    def free(self) -> dict[str, float]:
        """What nobody holds, by name."""

@final
class Forecast:
    """Predictive distribution of a metric at `target_step`, in the metric's unit.

    Student's t with two degrees of freedom and a scale to either side, weighed by where finished curves ended.
    """

    @property
    def mean(self) -> float:
        """What the families of curves predict, with finished curves half of the way to the median."""
    @property
    def lo90(self) -> float:
        """Quantile of 0.05."""
    @property
    def hi90(self) -> float:
        """Quantile of 0.95."""
    @property
    def target_step(self) -> float:
        """Step that is forecast, in the unit of the reports'."""
    @property
    def points(self) -> int:
        """Finite reports used."""
    @property
    def informative(self) -> bool:
        """Whether the curve says anything yet: four points or more, with spread."""
    @property
    def evidence(self) -> tuple[float, ...]:
        """What the width was derived from: a unit, the median before finished curves' ends count, four numbers for either side.

        Empty if not informative.
        """
    def quantile(self, p: float) -> float:
        """The value below which the metric ends with probability p, 0 < p < 1. Raises ForecastError otherwise."""
    def beats(self, value: float) -> float:
        """Probability that the metric ends better than `value`, in the direction given to `forecast`.

        Raises ForecastError on NaN.
        """

def forecast(
    steps: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    target_step: float,
    *,
    reference_curves: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = ...,
    direction: str = ...,
    families: str = ...,
) -> Forecast:
    """Forecasts the value at `target_step` from reports so far.

    `steps` and `values` have shape [n] and type float64; steps do not decrease; points that are not finite are left out; nothing
    is copied where arrays lie in one piece. `reference_curves` are finished curves of the same metric; three or more of them are
    used. `direction` is `minimize` or `maximize`, `families` is `all` or `power_law`. The result is finite, and not informative
    with fewer than four points or without spread. Raises ForecastError on unequal lengths, steps that decrease, no finite point
    at all, a target that is not finite or lies before the last step, and an unknown direction or families.

    Families as in Domhan, Springenberg and Hutter (2015), fitted by variable projection (Golub and Pereyra, 1973) over grids; how
    they are weighed and how the width was learned is in docs/reference/forecasts.md.
    """

def forecasts(
    offsets: npt.NDArray[np.int64],
    steps: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    target_steps: npt.NDArray[np.float64],
    *,
    reference_curves: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = ...,
    direction: str = ...,
    families: str = ...,
) -> list[Forecast]:
    """Forecasts curves laid end to end: curve i is `steps[offsets[i]:offsets[i + 1]]`, and `values` alike.

    `target_steps` has shape [k], `offsets` [k + 1] from 0 to n, the length of `steps` and `values`. Otherwise as `forecast`,
    each curve for itself. Raises ForecastError as `forecast`, naming the curve, and on offsets that do not fit.
    """

@final
class GrowingCurve:
    """A curve that takes one report at a time and is forecast at a cost that does not grow with its length.

    Keywords as those of `forecast`. Up to 64 reports its forecast is the one of `forecast`; beyond, up to a 32nd of the reports
    may not be looked at yet, unless another target is asked for. Raises ForecastError as `forecast` does.
    """

    def __new__(
        cls,
        *,
        reference_curves: Sequence[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]] = ...,
        direction: str = ...,
        families: str = ...,
    ) -> GrowingCurve: ...
    def push(self, step: float, value: float) -> None:
        """Takes a report; one that is not finite is left out. Raises ForecastError if steps go back."""
    def forecast(self, target_step: float) -> Forecast:
        """The forecast from the reports so far. Raises ForecastError on a bad target and where there are none."""
    def __len__(self) -> int:
        """Finite reports taken."""

def apply_patch(files: Mapping[str, str], patch: str) -> dict[str, str]:
    """Applies a patch to texts by path; returns the new texts of the files it changes.

    The patch is a unified or git diff, SEARCH/REPLACE blocks, an apply-patch envelope or a whole new file, in a fence or bare,
    as docs/reference/patches.md says. All hunks or none; every hunk has one place or is refused; line numbers and counts are
    hints only; kept lines keep their bytes; blocks may build on blocks before them. Raises PatchError with the code `too_large`,
    `too_costly`, `no_diff`, `empty`, `truncated`, `bad_hunk_header`, `no_path`, `path_not_allowed`, `unsupported_header`,
    `forbidden_character`, `no_anchor`, `no_match`, `ambiguous`, `already_applied`, `overlap` or `no_change`.
    """

def diff(before: str, after: str, path: str = ...) -> str:
    """Canonical unified diff (as `diff -u`, POSIX.1-2024) with three lines of context; empty if the texts are equal.

    Only a line feed ends a line. `apply_patch({path: before}, diff(before, after, path))` leads to `after`, unless that brings in
    characters that no patch may. `path` is one line without tabs.
    """

def reintroduced(patch: str, history: Sequence[str]) -> list[tuple[str, int]]:
    """Lines that `patch` adds and that a patch of `history` (oldest first) removed, each with the index of the last that did.

    Lines are compared without the blanks around them, by file where both patches name one. Lines with fewer than four letters
    and digits, lines that a patch only moves, and those that a later patch has brought back do not count. Whole files and what
    is no patch count as empty. Raises PatchError if `patch` is marked as a diff but cannot be read as one.
    """

@final
class Sealed:
    """A file that was copied and hashed in one pass."""

    @property
    def name(self) -> str:
        """Path relative to the destination."""
    @property
    def bytes(self) -> int:
        """Size."""
    @property
    def sha256(self) -> str:
        """SHA-256 (FIPS 180-4) in hex."""

def seal_file(source: str, name: str, destination: str, format: str, max_bytes: int) -> Sealed:
    """Copies the regular file `name` below folder `source` to `destination`, checking and hashing it in one pass.

    No symlink is followed in any component below `source`; one hard link only; at most `max_bytes`. `format` is `npy`,
    `npz` (NEP 1, no object arrays), `json`, `jsonl` (RFC 8259, finite numbers), `safetensors`, `text` (UTF-8) or `binary`.
    Raises SealError with the code `missing`, `too_large`, `not_regular`, `linked`, `bad_format` or `io`.
    """

def seal_tree(source: str, destination: str, max_bytes: int, max_files: int) -> list[Sealed]:
    """Copies all regular files below `source`, by the rules of `seal_file` with format `binary`; anything else is refused. Raises SealError."""

def hash_file(path: str) -> str:
    """SHA-256 of a regular file in hex. Raises SealError."""

def hash_tree(path: str) -> str:
    """SHA-256 over the sorted (path, SHA-256) pairs of the regular files below `path`. Raises SealError on anything else but folders."""

def run_launcher(descriptor: int) -> None:
    """Serves the launcher protocol on a connected socket until it closes, then kills all it started. For the helper process only."""
