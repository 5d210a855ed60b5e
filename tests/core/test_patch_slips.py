"""Patches as language models really write them: formats of well-known tools, and slips."""

from __future__ import annotations

import pytest

from autoresearch_rl._core import apply_patch
from autoresearch_rl.errors import PatchError

TRAIN = '''"""Train a small model."""
import math
import os

# Rates
LR = 3e-4
STEPS = 1000


class Net:
    def forward(self, x):
        for weight in self.weights:
            x = weight(x)
        return x

    def loss(self, x, y):
        return abs(self.forward(x) - y)


def schedule(step):
    if step < 100:
        return LR * step / 100
    return LR * 0.5 * (1 + math.cos(step))


def main():
    print("it's training")
    net = Net()
    for step in range(STEPS):
        net.update(schedule(step))


if __name__ == "__main__":
    main()
'''
GUIDE = "# Guide\n\n```bash\npython train.py\n```\n\nDone.\n"
MODEL = "a = 1\nb = 2\nc = 3\n"
LR = TRAIN.replace("3e-4", "1e-3")
BOTH = LR.replace("1000", "2000")
LESS = TRAIN.replace("step < 100", "step <= 100")
HEAD = "--- a/train.py\n+++ b/train.py\n"
STUB = LR + "\n\nclass Shape(Protocol):\n    def area(self):\n        ...\n"
HUNK = "@@ -6 +6 @@\n-LR = 3e-4\n+LR = 1e-3\n"
BLOCK = "<<<<<<< SEARCH\nLR = 3e-4\n=======\nLR = 1e-3\n>>>>>>> REPLACE\n"


def block(search: str, replace: str) -> str:
    """A SEARCH/REPLACE block."""
    return f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"


def indented(text: str, blanks: str) -> str:
    """A text further in."""
    return "".join(f"{blanks}{line}\n" for line in text.splitlines())


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        # where a block's or a diff's file is named
        (f"```python\ntrain.py\n{BLOCK}```\n", LR),
        (f"train.py\n<source>\n{BLOCK}</source>\n", LR),
        (f"**train.py**\n\n````python\n{BLOCK}````\n", LR),
        (f"## File: `train.py`\n{BLOCK}", LR),
        (f"In `train.py` I raise the rate:\n\n{BLOCK}", LR),
        (BLOCK.replace("SEARCH", "SEARCH train.py"), LR),
        (BLOCK.replace("SEARCH", "SEARCH:train.py"), LR),
        (f"+++ b/train.py\n{HUNK}", LR),
        (f"--- a/train.py\n{HUNK}", LR),
        (f"--- original\n+++ b/train.py\n{HUNK}", LR),
        (f"--- train.py (before)\n+++ train.py (after)\n{HUNK}", LR),
        (f"--- train.py 2024-01-01 10:00:00 +0000\n+++ train.py 2024-01-02 10:00:00 +0000\n{HUNK}", LR),
        (f"Index: train.py\n=====\n--- train.py\t(revision 1)\n+++ train.py\t(working copy)\n{HUNK}", LR),
        (f"*** Begin Patch\n*** Update File: ./train.py\n{HEAD}{HUNK}*** End Patch\n", LR),
        # what is around it
        (f"<think>\nMaybe:\n```diff\n{HUNK.replace('1e-3', '5e-3')}```\n</think>\n{HEAD}{HUNK}", LR),
        (f"<think>\nI never stop.\n{HEAD}{HUNK}", LR),
        (f"<patch>\n{HEAD}@@\n # Rates\n LR = 3e-4\n+CLIP = 1\n</patch>\n", TRAIN.replace("3e-4\n", "3e-4\nCLIP = 1\n")),
        (f"1. Raise it:\n\n   ```python\n{indented(BLOCK, '   ')}   ```\n", LR),
        (f"1. Raise it:\n   ```diff\n{indented(HEAD + HUNK, '   ')}   ```\n", LR),
        (indented(f"{HEAD}{HUNK}", "    "), LR),
        (f"cat <<'EOF' | git apply\n{HEAD}@@\n # Rates\n-LR = 3e-4\n+LR = 1e-3\n STEPS = 1000\nEOF\n", LR),
        # a fence called a diff has no need of a hunk's header
        ("```diff\n # Rates\n-LR = 3e-4\n+LR = 1e-3\n```\n", LR),
        ("```diff\n+++ b/train.py\n-LR = 3e-4\n+LR = 1e-3\n```\n", LR),
        ("```diff\n-LR = 3e-4\n+LR = 1e-3\n...\n-STEPS = 1000\n+STEPS = 2000\n```\n", BOTH),
        ("-LR = 3e-4\n+LR = 1e-3\n", LR),
        ("```python\n # Rates\n-LR = 3e-4\n+LR = 1e-3\n STEPS = 1000\n```\n", LR),
        # more than one
        (f"```diff\n{HEAD}{HUNK}```\nOnce more, all of it:\n```diff\n{HEAD}{HUNK}```\n", LR),
        (f"```diff\n-LR = 3e-4\n+LR = 1e-3\n```\nAs a block:\n{BLOCK}", LR),
        (BLOCK + block("LR = 1e-3\nSTEPS = 1000\n", "LR = 1e-3\nSTEPS = 2000\n"), BOTH),
        (BLOCK + block("LR = 1e-3\n", "LR = 2e-3\n") + block("LR = 2e-3\nSTEPS = 1000\n", "LR = 1e-3\nSTEPS = 2000\n"), BOTH),
        # slips in rows
        (block("\nLR = 3e-4\n", "\nLR = 1e-3\n"), LR),
        (f"{HEAD}@@\n  def schedule(step):\n-     if step < 100:\n+     if step <= 100:\n", LESS),
        (f"{HEAD}@@\ndef schedule(step):\n-    if step < 100:\n+    if step <= 100:\n         return LR * step / 100\n", LESS),
        (f"{HEAD}@@\n def schedule(step):\n-\xa0   if step < 100:\n+\xa0   if step <= 100:\n", LESS),
        (f"{HEAD}@@\n-    print(\"it’s training\")\n+    print(\"it’s done\")\n", TRAIN.replace("training\")", "done\")")),
        (f"{HEAD}@@\n def schedule(step):\n     # ... existing code ...\n-    return LR * 0.5 * (1 + math.cos(step))\n+    return LR\n",
         TRAIN.replace("LR * 0.5 * (1 + math.cos(step))", "LR")),
        # whole files
        (f"```bash\npython train.py\nls\nls\n```\n\n```python\n{LR}```\n\n```\nloss 1\nloss 2\nloss 3\n```\n", LR),
        (f"```python\n{LR.replace('model.', 'model.  # see below')}```\n", LR.replace("model.", "model.  # see below")),
        (f"```python\n{STUB}```\n", STUB),
    ],
)  # fmt: skip
def test_formats_and_slips_lead_to_the_same(patch: str, after: str) -> None:
    assert apply_patch({"train.py": TRAIN}, patch) == {"train.py": after}


@pytest.mark.parametrize(
    ("code", "patch", "message"),
    [
        ("path_not_allowed", f"+++ b/eval.py\n{HUNK}", "`b/eval.py` may not be changed"),
        ("path_not_allowed", BLOCK.replace("SEARCH", "SEARCH eval.py"), "`eval.py` may not be changed"),
        ("path_not_allowed", f"--- a/train.py.orig\n+++ b/train.py\n{HUNK}", "train.py.orig"),
        ("path_not_allowed", f"--- x/train.py\n+++ x/train.py\n{HUNK}", "x/train.py"),
        ("path_not_allowed", f"--- train.py ../eval.py\n+++ train.py ../eval.py\n{HUNK}", r"`train.py ../eval.py` may not be changed"),
        ("forbidden_character", f"{HEAD}{HUNK}\r--- a/eval.py\r+++ b/eval.py\r@@\r-x\r+y\n", r"behind the character U\+000D"),
        ("forbidden_character", f"{HEAD}{HUNK}\nAnd\u2028diff --git a/eval.py b/eval.py\n", r"behind the character U\+2028"),
        # parts of an answer are no file
        ("no_diff", f"Here is the whole file:\n\n{LR}", "the whole new file in a fence"),
        ("no_diff", f'<file path="train.py">\n{LR}</file>\n', "no change was found"),
        ("no_diff", "```python\ndef schedule(step):\n    return LR\n```\n", "too little of train.py to be all of it"),
        ("truncated", f"```python\n{TRAIN[TRAIN.index('class') : TRAIN.index('def main')]}```\n", r"begins with `class Net:` and leaves"),
        ("truncated", f"```python\n{TRAIN[: TRAIN.index('def schedule')]}```\n", "leaves out 1[0-9] lines"),
        ("truncated", f"```python\n{LR}", "fence that is opened by ```python is never closed"),
        ("truncated", f"```python\n{LR.replace('# Rates', '...')}```\n", "`...` stands for lines that are left out"),
        ("ambiguous", f"```python\n{TRAIN}```\nNow:\n```python\n{LR}```\n", "several fenced parts"),
        # what stands for other lines is not written
        ("truncated", block("    net = Net()\n", "    net = Net()\n    # ... rest of the function ...\n"), "write the whole file, or"),
        ("truncated", f"{HEAD}@@ -21 +21,2 @@\n-    if step < 100:\n+    if step < 9:\n+    # ... existing code ...\n", "existing code"),
        ("truncated", f"{BLOCK}<<<<<<< EDIT\nSTEPS = 1000\n>>>>>>> EDIT\n", "`<<<<<<< EDIT` belongs to no block"),
        ("truncated", "<<<<<<< SEARCH\nLR = 3e-4\n>>>>>>> REPLACE\n", "no `=======` follows `<<<<<<< SEARCH`"),
        # a row that lost its marker is no context
        (
            "no_match",
            f"{HEAD}@@ -20,2 +20,4 @@\n def schedule(step):\n+    step += 1\n    assert step < STEPS\n     if step < 100:\n",
            r"copy context and removed lines \(those without `\+`\)",
        ),
        ("no_match", f"{HEAD}@@\n-\n-LR = 9\n+LR = 1e-3\n", r"expects `\(a blank line\)`|expects `LR = 9`"),
        ("no_match", f"{HEAD}@@\n-    if step &lt; 100:\n+    if step &lt;= 100:\n", "at line 21 where the hunk expects `    if step &lt;"),
        ("no_match", f"{HEAD}@@\n-6 | LR = 3e-4\n+6 | LR = 1e-3\n", r"expects `6 \| LR"),
        # one block's result is looked for in what the others leave, not two places at once
        ("no_match", BLOCK + block("LR = 9\n", "LR = 8\n"), "hunk 2 does not fit .*; copy the SEARCH lines"),
        ("unsupported_header", "*** Begin Patch\n*** Add File: train.py\n+x\n*** End Patch\n", "change lines of the file instead"),
        ("unsupported_header", f"{HEAD}@@@ -1,2 -1,2 +1,3 @@@\n++x\n", "send a plain unified diff"),
        ("no_diff", f"<think>\n{HEAD}{HUNK}</think>\nI leave it.\n", "no change was found"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused_with_a_remedy(code: str, patch: str, message: str) -> None:
    with pytest.raises(PatchError, match=message) as caught:
        apply_patch({"train.py": TRAIN}, patch)
    assert caught.value.code == code


TWO = {"train.py": TRAIN, "model.py": MODEL}
SET = block("a = 1\n", "a = 9\n")
CHANGED = {"train.py": LR, "model.py": MODEL.replace("1", "9")}


@pytest.mark.parametrize(
    "patch",
    [
        f"In `train.py`:\n\n{BLOCK}\nIn `model.py`:\n\n{SET}",
        f"{HEAD}{HUNK}\n### model.py\n```python\n{CHANGED['model.py']}```\n",
        f"Here is `train.py`:\n```python\n{LR}```\nand model.py:\n```python\n{CHANGED['model.py']}```\n",
        f"```diff\n{HEAD}{HUNK}--- a/model.py\n+++ b/model.py\n@@\n-a = 1\n+a = 9\n```\n",
    ],
)  # fmt: skip
def test_several_files_are_named_in_prose_and_in_other_notations(patch: str) -> None:
    assert apply_patch(TWO, patch) == CHANGED


@pytest.mark.parametrize("line", ["In `train.py` and `model.py`:", "Unlike eval.py, train.py has to learn faster:", "Faster:"])
def test_a_line_that_speaks_of_several_files_names_none(line: str) -> None:
    with pytest.raises(PatchError, match=r"one of: model.py, train.py") as caught:
        apply_patch(TWO, f"{line}\n{BLOCK}")
    assert caught.value.code == "no_path"


@pytest.mark.parametrize("fence", ["````", "```"])
def test_a_text_with_fences_of_its_own_may_stand_in_one(fence: str) -> None:
    after = GUIDE.replace("train.py", "train.py --fast")
    changed = block("```bash\npython train.py\n", "```bash\npython train.py --fast\n")
    for patch in (
        f"{fence}markdown\n{after}{fence}\n",
        f"GUIDE.md\n{fence}markdown\n{changed}{fence}\n",
        f"{fence}diff\n@@\n ```bash\n-python train.py\n+python train.py --fast\n ```\n{fence}\n",
    ):
        assert apply_patch({"GUIDE.md": GUIDE}, patch) == {"GUIDE.md": after}


def test_rows_are_no_whole_file() -> None:
    rows = " a = 1\n-b = 2\n+b = 9\n c = 3\n"
    for patch in (rows, f"```\n{rows}```\n"):
        assert apply_patch({"model.py": MODEL}, patch) == {"model.py": MODEL.replace("2", "9")}
    tasks = "- one\n- two\n- three\n"
    assert apply_patch({"tasks.md": tasks}, f"```\n{tasks}- four\n```\n") == {"tasks.md": f"{tasks}- four\n"}


def test_a_twin_of_the_stated_place_is_no_place() -> None:
    """All of a hunk stands elsewhere, and all but one line of context where it says: it is not clear which is meant."""
    body = "def NAME():\n    open()\n    first = 1\n    second = 2\n    close()\n\n\n"
    file = body.replace("NAME", "f") + body.replace("NAME", "g").replace("open()", "open(2)")
    hunk = "@@ -9,4 +9,4 @@\n     open()\n-    first = 1\n+    first = 3\n     second = 2\n     close()\n"
    with pytest.raises(PatchError, match="at lines 2, 9") as caught:
        apply_patch({"train.py": file}, hunk)
    assert caught.value.code == "ambiguous"


def test_a_hunk_out_of_order_is_refused_where_all_others_are_right() -> None:
    """What it removes was changed since, and stands once more at the end of the file."""
    lines = [f"value_{line} = compute({line})\n" for line in range(120)]
    file = "".join([*lines, "    same()\n    removed()\n"])
    hunks = "".join(f"@@ -{at} +{at} @@\n-{lines[at - 1]}+x\n" for at in (10, 90))
    with pytest.raises(PatchError, match=r"fits train.py at line 121 only, but says line 50") as caught:
        apply_patch({"train.py": file}, f"{hunks}@@ -50,2 +50,2 @@\n     same()\n-    removed()\n+    y\n")
    assert (caught.value.code, caught.value.hunk, caught.value.line) == ("no_match", 3, 121)


def test_markers_may_be_lost_in_some_rows_only() -> None:
    file = "class A:\n    x: int = 1\n    y: int = 2\n\n\n@dataclass\nclass B:\n    z: int = 3\n"
    hunk = "@@\n    x: int = 1\n    y: int = 2\n+    w: int = 4\n\n\n @dataclass\n"
    assert apply_patch({"a.py": file}, hunk) == {"a.py": file.replace("2\n", "2\n    w: int = 4\n", 1)}
