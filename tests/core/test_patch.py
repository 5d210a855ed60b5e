"""Patches and diffs as Python sees them."""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_rl._core import apply_patch, diff, reintroduced
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


# What a patch may not bring in is another test's matter.
TEXT = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\n\t\f", max_codepoint=0x2FF), max_size=80
)


@given(TEXT, TEXT)
def test_a_diff_leads_from_any_text_to_any_other(before: str, after: str) -> None:
    patch = diff(before, after, "train.py")
    if before == after:
        assert patch == ""
    else:
        assert apply_patch({"train.py": before, "other.py": before}, patch) == {"train.py": after}


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_diff_is_refused_for_a_character_only(before: str, after: str) -> None:
    code, changed = None, {}
    try:
        changed = apply_patch({"train.py": before}, diff(before, after, "train.py"))
    except PatchError as error:
        code = error.code
    expected = "no_diff" if before == after else "forbidden_character"
    assert changed == {"train.py": after} or code == expected


LINES = st.lists(st.sampled_from(["", "x = 1", "    y", "z\r", "-- a", "++ b", "\f"]), max_size=25)


@given(LINES, LINES, st.sampled_from(["", "\n", "\r\n"]))
def test_a_diff_leads_from_lines_to_lines(before: list[str], after: list[str], end: str) -> None:
    texts = "\n".join(before) + end, "\n".join(after)
    if texts[0] != texts[1]:
        assert apply_patch({"train.py": texts[0]}, diff(*texts, "train.py")) == {"train.py": texts[1]}


@pytest.mark.parametrize(
    ("code", "patch", "message"),
    [
        ("no_diff", "", "no change was found"),
        ("no_diff", "I would lower the learning rate.", "send a unified diff"),
        ("empty", HEAD + "@@ -1 +1 @@\n", "no added and no removed line"),
        ("empty", HEAD + "@@ -3 +3 @@\n lr = 0.1\n", "mark removed lines"),
        ("no_change", HEAD + "@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.1\n", "changes nothing"),
        ("no_path", "@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.2\n", "one of: src/model.py, train.py"),
        ("no_path", "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n", "one of: src/model.py, train.py"),
        ("bad_hunk_header", HEAD + f"@@ -{10**20},1 +1 @@\n-lr = 0.1\n+lr = 0.2\n", "no file reaches"),
        ("truncated", "train.py\n<<<<<<< SEARCH\nx\n=======\ny\n", "no `>>>>>>> REPLACE` follows"),
        ("truncated", "train.py\n<<<<<<< SEARCH\nx\n>>>>>>> REPLACE\n", "no `=======` follows"),
        ("truncated", "*** Begin Patch\n*** Update File: train.py\n@@\n-lr = 0.1\n+lr = 1\n", r"no `\*\*\* End Patch` follows"),
        ("truncated", "train.py\n```python\nimport os\n", "opened by ```python is never closed"),
        ("truncated", "train.py\n```python\nimport os\n\nlr = 0.2\n# ... rest of the code ...\n```\n", "that are left out"),
        (
            "path_not_allowed",
            "--- a/eval.py\n+++ b/eval.py\n@@\n-x\n+y\n",
            "`a/eval.py` may not be changed.*: src/model.py, train.py",
        ),
        ("path_not_allowed", "--- /etc/passwd\n+++ /etc/passwd\n@@\n-x\n+y\n", "`/etc/passwd` may not be changed"),
        ("path_not_allowed", "--- a/../train.py\n+++ b/../train.py\n@@\n-x\n+y\n", "may not be changed"),
        ("path_not_allowed", "--- a/train.py\n+++ b/eval.py\n@@\n-x\n+y\n", "`b/eval.py` may not be changed"),
        ("path_not_allowed", "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x\n", "`b/new.py` may not be changed"),
        ("path_not_allowed", "eval.py\n<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n", "`eval.py` may not"),
        ("path_not_allowed", "*** Begin Patch\n*** Add File: x.py\n+x\n*** End Patch\n", "`x.py` may not"),
        ("unsupported_header", "--- /dev/null\n+++ b/train.py\n@@ -0,0 +1 @@\n+x\n", "creates a file"),
        ("unsupported_header", GIT + "new file mode 100644\n", "creates a file"),
        ("unsupported_header", "--- a/train.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-import os\n", "deletes a file"),
        ("unsupported_header", GIT + "deleted file mode 100644\n", "deletes a file"),
        ("unsupported_header", "*** Begin Patch\n*** Delete File: train.py\n*** End Patch\n", "deletes a file"),
        ("unsupported_header", "--- a/train.py\n+++ b/src/model.py\n@@\n-x\n+y\n", "renames a file"),
        ("unsupported_header", "diff --git a/train.py b/x.py\nsimilarity index 90%\nrename from train.py\n", "renames a file"),
        ("unsupported_header", GIT + "copy from train.py\n", "copies a file"),
        ("unsupported_header", GIT + "old mode 100644\nnew mode 100755\n", "mode"),
        ("unsupported_header", GIT + "index 12..34 120000\n", "symbolic link"),
        ("unsupported_header", GIT + "new file mode 120000\n", "symbolic link"),
        ("unsupported_header", GIT + "new file mode 160000\n", "submodule"),
        ("unsupported_header", GIT + "GIT binary patch\nliteral 3\n", "binary file"),
        ("unsupported_header", "Binary files a/train.py and b/train.py differ\n", "binary file"),
        ("unsupported_header", HEAD + "@@@ -1,2 -1,2 +1,3 @@@\n++x\n", "combined diff"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+lr = 0.1 # \u202e\n", r"U\+202E \(a change of the writing direction\)"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+lr = 0.1\r import x\n", r"U\+000D \(a control character\)"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+lr = 0.1 # \u2028x\n", r"U\+2028 \(an unusual line break\)"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+l\u200br = 0.1\n", r"U\+200B \(an invisible character\)"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+tr\u0430in = 0.1\n", r"U\+0430 \(a letter that looks like"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+\uff45xec = 0.1\n", r"U\+FF45 \(a letter that looks like"),
        ("forbidden_character", "train.py\n```\n" + TRAIN.replace("0.1", "0.2\x1b[0m") + "```\n", r"U\+001B"),
        ("no_anchor", HEAD + "@@ -2,0 +3 @@\n+x = 1\n", "add context lines"),
        ("no_match", HEAD + "@@ -3 +3 @@\n-lr = 0.3\n+lr = 0.2\n", "`lr = 0.1` at line 3 where the hunk expects `lr = 0.3`"),
        ("ambiguous", HEAD + "@@\n-    return lr\n+    return 0\n", "at lines 8, 12; add context"),
        ("already_applied", HEAD + "@@\n-rate = 0.1\n+steps = 10\n", "in train.py at line 4; leave it out"),
        ("overlap", HEAD + "@@\n-lr = 0.1\n+lr = 1\n@@\n-lr = 0.1\n+lr = 2\n", "hunks 1 and 2 both change train.py at line 3"),
        ("too_large", "+" * (5 << 20), "5242880 bytes, more than the 2097152"),
        ("too_large", HEAD + "@@\n-a\n+b\n" * 6000, "6000 hunks, more than the 5000"),
        ("forbidden_character", HEAD + "@@\n-lr = 0.1\n+lr = '\ud83d'\n", "half a surrogate pair"),
    ],
)
def test_refusals_have_a_code_and_say_what_to_do(code: str, patch: str, message: str) -> None:
    with pytest.raises(PatchError, match=message) as caught:
        apply_patch(FILES, patch)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


LR, STEPS = TRAIN.replace("lr = 0.1", "lr = 0.2"), TRAIN.replace("steps = 10", "steps = 20")
BOTH = LR.replace("steps = 10", "steps = 20")


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ("<<<<<<< SEARCH\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> REPLACE\n", LR),
        ("I lower it.\n\ntrain.py\n```python\n<<<<<<< SEARCH\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> REPLACE\n```\n", LR),
        ("### `train.py`:\n\n```py\n<<<<<<< ORIGINAL\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> UPDATED\n```\n", LR),
        ("```python train.py\n<<<<<<< HEAD\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> mine\n```\n", LR),
        ("------- SEARCH\nlr = 0.1\n=======\nlr = 0.2\n+++++++ REPLACE\n", LR),
        ("<<<<<<< SEARCH\n:start_line:3\n-------\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> REPLACE\n", LR),
        ("<<<<<<< SEARCH>\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> REPLACE\n" * 1, LR),
        (
            "<<<<<<< SEARCH\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> REPLACE\n\n"
            "<<<<<<< SEARCH\nsteps = 10\n=======\nsteps = 20\n>>>>>>> REPLACE\n",
            BOTH,
        ),
        ("*** Begin Patch\n*** Update File: train.py\n@@\n import os\n \n-lr = 0.1\n+lr = 0.2\n*** End Patch\n", LR),
        ("```\n*** Begin Patch\n*** Update File: train.py\n-lr = 0.1\n+lr = 0.2\n*** End Patch\n```\n", LR),
        (
            "*** Begin Patch\n*** Update File: train.py\n@@ def test():\n-    return lr\n+    return 0\n*** End Patch\n",
            TRAIN.removesuffix("    return lr\n") + "    return 0\n",
        ),
        (
            "*** Begin Patch\n*** Update File: train.py\n@@\n-    return lr\n+    return 0\n*** End of File\n*** End Patch\n",
            TRAIN.removesuffix("    return lr\n") + "    return 0\n",
        ),
        (f"The file:\n\n```python\n{BOTH}```\n", BOTH),
        (f"~~~~\n{BOTH}~~~~\nDone.", BOTH),
        (BOTH, BOTH),
    ],
)
def test_every_notation_leads_to_the_same(patch: str, after: str) -> None:
    for text in (patch, patch.replace("\n", "\r\n")):
        assert apply_patch({"train.py": TRAIN}, text) == {"train.py": after}
    dos = apply_patch({"train.py": TRAIN.replace("\n", "\r\n")}, patch)["train.py"]
    assert dos == after.replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ("@@\n import os\n lr = 0.1\n-steps = 10\n+steps = 20\n", STEPS),  # a blank line left out
        ("@@\n import os\n ...\n-steps = 10\n+steps = 20\n \n", STEPS),  # lines left out on purpose
        ("@@\n import sys\n \n lr = 0.1\n-steps = 10\n+steps = 20\n", STEPS),  # a line out of date
        ("@@\n-lr = 0.1\n+lr = 0.2\n steps = 10\n This is better.\n", LR),  # a line too many
        ("@@ -3,2 +3,2 @@\n-lr = 0.1\n+lr = 0.2\n steps = 10\n\nThis is better.\n- it is\n- really\n", LR),  # prose after it
        ("@@\n-def test():\n-return lr\n+def test():\n+return 0\n", None),  # the indentation is part of the change
        ("@@\n def test():\n-\treturn lr\n+\treturn 0\n", TRAIN.removesuffix("    return lr\n") + "    return 0\n"),
        ("@@\n   def test():\n-      return lr\n+      return 0\n", TRAIN.removesuffix("    return lr\n") + "    return 0\n"),
        ("@@\n import os\n lr = 0.1\n+momentum = 0.9\n def train():\n", None),  # before or after what was left out?
    ],
)
def test_context_may_be_inexact_but_not_the_place(patch: str, after: str | None) -> None:
    if after is None:
        with pytest.raises(PatchError) as caught:
            apply_patch({"train.py": TRAIN}, patch)
        assert caught.value.code in ("no_match", "ambiguous")
    else:
        assert apply_patch({"train.py": TRAIN}, patch) == {"train.py": after}


def test_added_lines_take_the_indentation_of_the_file() -> None:
    file = "class A:\n  def f(self):\n    return 1\n\n  def g(self):\n    return 2\n"
    patch = "@@\n def f(self):\n-    return 1\n+    if self:\n+        return 3\n"
    changed = apply_patch({"a.py": file}, patch)["a.py"]
    assert changed == file.replace("    return 1\n", "    if self:\n      return 3\n")


def test_brought_back_lines_are_told_with_who_removed_them() -> None:
    removes, moves = HEAD + "@@\n-momentum = 0.9\n+momentum = 0.8\n", HEAD + "@@\n-width = 8\n x\n+width = 8\n"
    back = HEAD + "@@\n-momentum = 0.8\n+    momentum = 0.9  \n+width = 8\n"
    assert reintroduced(back, [removes, moves, "no patch"]) == [("momentum = 0.9", 0)]
    assert reintroduced(back, [removes, removes]) == [("momentum = 0.9", 1)]
    assert reintroduced(back, [removes, back]) == []
    assert reintroduced(back, [removes.replace("train.py", "eval.py")]) == []
    assert reintroduced("<<<<<<< SEARCH\nx\n=======\nmomentum = 0.9\n>>>>>>> REPLACE\n", [removes]) == [("momentum = 0.9", 0)]
    assert reintroduced(TRAIN, [removes]) == []
    with pytest.raises(PatchError) as caught:
        reintroduced("*** Begin Patch\n*** Update File: train.py\n@@\n-x\n", [removes])
    assert caught.value.code == "truncated"


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
    text = "".join(f"value {line % 50}\n" for line in range(20_000))
    patch = "".join(f"@@\n value {line % 50}\n-value {(line + 7) % 50}\n+a\n value x\n" for line in range(4000))
    with pytest.raises(PatchError, match="takes too long to place") as caught:
        apply_patch({"train.py": text}, patch)
    assert caught.value.code == "too_costly"


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_patch_is_applied_or_refused(before: str, patch: str) -> None:
    for text in (patch, "@@\n" + patch, HEAD + "@@ -1,2 +1 @@\n" + patch):
        with suppress(PatchError):
            assert apply_patch({"train.py": before}, text)["train.py"] != before
