"""Patches and diffs as Python sees them."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl._core import apply_patch, diff
from autoresearch_rl.errors import PatchError

TRAIN = "import os\n\nlr = 0.1\nsteps = 10\n\n\ndef train():\n    return lr\n\n\ndef test():\n    return lr\n"
FILES = {"train.py": TRAIN, "src/model.py": "width = 8\n"}
HEAD = "--- a/train.py\n+++ b/train.py\n"
GIT = "diff --git a/train.py b/train.py\n"


def test_only_changed_files_come_back() -> None:
    patch = HEAD + "@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.2\n" + "--- a/src/model.py\n+++ b/src/model.py\n@@ -1 +1 @@\n width = 8\n"
    assert apply_patch(MappingProxyType(FILES), patch) == {"train.py": TRAIN.replace("0.1", "0.2")}


def test_a_diff_is_canonical() -> None:
    after = TRAIN.replace("steps = 10", "steps = 20").removesuffix("\n")
    assert diff(TRAIN, after, "train.py") == (
        HEAD + "@@ -1,7 +1,7 @@\n import os\n \n lr = 0.1\n-steps = 10\n+steps = 20\n \n \n def train():\n"
        "@@ -9,4 +9,4 @@\n \n \n def test():\n-    return lr\n+    return lr\n\\ No newline at end of file\n"
    )
    assert diff(TRAIN, TRAIN) == ""


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_diff_leads_from_any_text_to_any_other(before: str, after: str) -> None:
    patch = diff(before, after, "train.py")
    if before == after:
        assert patch == ""
    else:
        assert apply_patch({"train.py": before, "other.py": before}, patch) == {"train.py": after}


LINES = st.lists(st.sampled_from(["", "x = 1", "    y", "z\r", "-- a", "++ b", "\f", "\u2028"]), max_size=25)


@given(LINES, LINES, st.sampled_from(["", "\n", "\r\n"]))
def test_a_diff_leads_from_lines_to_lines(before: list[str], after: list[str], end: str) -> None:
    texts = "\n".join(before) + end, "\n".join(after)
    if texts[0] != texts[1]:
        assert apply_patch({"train.py": texts[0]}, diff(*texts, "train.py")) == {"train.py": texts[1]}


@pytest.mark.parametrize(
    ("code", "patch", "message"),
    [
        ("no_hunks", "", "no hunk was found"),
        ("no_hunks", "I would lower the learning rate.", "send a unified diff"),
        ("no_hunks", HEAD + "@@ -1 +1 @@\n", "no hunk was found"),
        ("no_change", HEAD + "@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.1\n", "changes nothing"),
        ("no_change", HEAD + "@@ -3 +3 @@\n lr = 0.1\n", "changes nothing"),
        ("no_path", "@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.2\n", "one of: src/model.py, train.py"),
        (
            "path_not_allowed",
            "--- a/eval.py\n+++ b/eval.py\n@@\n-x\n+y\n",
            "`a/eval.py` may not be changed.*: src/model.py, train.py",
        ),
        ("path_not_allowed", "--- /etc/passwd\n+++ /etc/passwd\n@@\n-x\n+y\n", "`/etc/passwd` may not be changed"),
        ("path_not_allowed", "--- a/../train.py\n+++ b/../train.py\n@@\n-x\n+y\n", "may not be changed"),
        ("path_not_allowed", "--- a/train.py\n+++ b/eval.py\n@@\n-x\n+y\n", "`b/eval.py` may not be changed"),
        ("creates_file", "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x\n", "creates a file"),
        ("creates_file", GIT + "new file mode 100644\n", "creates a file"),
        ("deletes_file", "--- a/train.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-import os\n", "deletes a file"),
        ("deletes_file", GIT + "deleted file mode 100644\n", "deletes a file"),
        ("renames_file", "--- a/train.py\n+++ b/src/model.py\n@@\n-x\n+y\n", "renames a file"),
        ("renames_file", "diff --git a/train.py b/x.py\nsimilarity index 90%\nrename from train.py\n", "renames a file"),
        ("copies_file", GIT + "copy from train.py\n", "copies a file"),
        ("changes_mode", GIT + "old mode 100644\nnew mode 100755\n", "mode"),
        ("symlink", GIT + "index 12..34 120000\n", "symbolic link"),
        ("symlink", GIT + "new file mode 120000\n", "symbolic link"),
        ("binary", GIT + "GIT binary patch\nliteral 3\n", "binary file"),
        ("binary", "Binary files a/train.py and b/train.py differ\n", "binary file"),
        ("combined_diff", HEAD + "@@@ -1,2 -1,2 +1,3 @@@\n++x\n", "combined diff"),
        ("no_anchor", HEAD + "@@ -2,0 +3 @@\n+x = 1\n", "add context lines"),
        ("no_match", HEAD + "@@ -3 +3 @@\n-lr = 0.3\n+lr = 0.2\n", "`lr = 0.1` at line 3 where the hunk expects `lr = 0.3`"),
        ("ambiguous", HEAD + "@@\n-    return lr\n+    return 0\n", "at lines 8, 12; add context"),
        ("already_applied", HEAD + "@@\n-rate = 0.1\n+steps = 10\n", "in train.py at line 4; leave it out"),
        ("overlap", HEAD + "@@\n-lr = 0.1\n+lr = 1\n@@\n-lr = 0.1\n+lr = 2\n", "hunks 1 and 2 both change train.py at line 3"),
        ("too_large", "+" * (5 << 20), "more than the 4194304"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+lr = '\ud83d'\n", "half a surrogate pair"),
    ],
)
def test_refusals_have_a_code_and_say_what_to_do(code: str, patch: str, message: str) -> None:
    with pytest.raises(PatchError, match=message) as caught:
        apply_patch(FILES, patch)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_refusals_carry_the_nearest_place() -> None:
    with pytest.raises(PatchError) as caught:
        apply_patch(FILES, HEAD + "@@\n-import os\n+import sys\n@@ -90 +90 @@\n def test():\n-    return lr + 1\n+    return 0\n")
    assert (caught.value.code, caught.value.hunk, caught.value.line) == ("no_match", 2, 12)
    assert 0.8 < caught.value.similarity < 1.0


def test_large_files_are_refused() -> None:
    with pytest.raises(PatchError, match=r"train.py has 16777217 bytes") as caught:
        apply_patch({"train.py": "x" * (1 << 24) + "\n"}, "@@\n-x\n+y\n")
    assert caught.value.code == "too_large"


def test_what_takes_too_long_is_refused() -> None:
    text = "".join(f"{line}\n" for line in range(100_000))
    patch = "".join(f"@@\n-{line * 3}\n+a\n" for line in range(300))
    with pytest.raises(PatchError, match="takes too long to place") as caught:
        apply_patch({"train.py": text}, patch)
    assert caught.value.code == "too_costly"


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_patch_is_applied_or_refused(before: str, patch: str) -> None:
    for text in (patch, "@@\n" + patch, HEAD + "@@ -1,2 +1 @@\n" + patch):
        with suppress(PatchError):
            assert apply_patch({"train.py": before}, text)["train.py"] != before
