//! Tests of `patch`: the notation's edges one by one, then that a diff leads from one text to the other, whatever they are.

use super::*;
use crate::checking::holds;
use proptest::prelude::*;

const FILE: &str = "import os\n\nlr = 0.1\nsteps = 10\n\n\ndef train():\n    return lr\n\n\ndef test():\n    return lr\n";

fn files(texts: &[(&str, &str)]) -> BTreeMap<String, String> {
    texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn applied(before: &str, hunks: &str) -> Result<String, Refusal> {
    let patch = format!("--- a/t.py\n+++ b/t.py\n{hunks}");
    apply(&files(&[("t.py", before)]), &patch).map(|mut changed| changed.remove("t.py").unwrap())
}

fn code(result: Result<impl std::fmt::Debug, Refusal>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn numbers_and_counts_are_hints() {
    let after = FILE.replace("0.1", "0.2");
    for header in ["@@ -1,5 +1,5 @@", "@@ -40,1 +2 @@ def f():", "@@", "@@ ... @@", "@@ -?,? +?,? @@", "@@ -0,0 +0,0 @@"] {
        let hunks = format!("{header}\n import os\n\n-lr = 0.1\n+lr = 0.2\n steps = 10\n\n\n");
        assert_eq!(applied(FILE, &hunks).unwrap(), after, "{header}");
    }
}

#[test]
fn prose_fences_and_missing_headers_are_tolerated() {
    let (patch, after) = ("@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.2\n", FILE.replace("0.1", "0.2"));
    for text in [
        patch.to_owned(),
        format!("I lower it:\n\n- because\n\n```diff\n{patch}```\n\n- it is\n+ better\n"),
        format!("diff --git a/t.py b/t.py\nindex 12..34 100644\n{patch}"),
        format!("diff --git a/t.py b/t.py\n--- a/t.py\t2020-01-01\n+++ b/t.py\t2020-01-01\n{patch}-- \n2.40.1\n"),
        format!("\u{feff}--- t.py\n+++ ./t.py\n{}", patch.replace("@@ -3 +3 @@\n", "")),
        format!("--- a/t.py\n+++ b/t.py\n{patch}").replace('\n', "\r\n"),
    ] {
        assert_eq!(apply(&files(&[("t.py", FILE)]), &text).unwrap(), files(&[("t.py", &after)]), "{text}");
    }
}

#[test]
fn kept_lines_keep_their_bytes_and_added_lines_take_the_line_ending() {
    let dos = FILE.replace('\n', "\r\n");
    let hunks = "@@ -3 +3 @@\n-lr = 0.1\n+lr = 0.2\n steps = 10\n";
    assert_eq!(applied(&dos, hunks).unwrap(), dos.replace("0.1", "0.2"));
    let odd = "a\u{c}\u{2028}b \t\r\nc\u{85}\u{b}d\rx\ny";
    assert_eq!(applied(odd, "@@\n a\u{c}\u{2028}b\n c\u{85}\u{b}d\rx\n-y\n+z\n").unwrap(), format!("{}z", &odd[..odd.len() - 1]));
}

#[test]
fn only_an_exactly_stated_line_decides_between_places() {
    let hunk = |line: usize| format!("@@ -{line} +{line} @@\n-    return lr\n+    return 0\n");
    assert_eq!(applied(FILE, &hunk(12)).unwrap(), FILE.replace("test():\n    return lr", "test():\n    return 0"));
    let Err(Refusal::Ambiguous { lines, .. }) = applied(FILE, &hunk(11)) else { panic!("placed") };
    assert_eq!(lines, [8, 12]);
}

#[test]
fn the_last_line_feed_changes_only_where_the_patch_says_so() {
    let marker = "\\ No newline at end of file\n";
    assert_eq!(applied("a\nb", "@@\n-b\n+c\n").unwrap(), "a\nc");
    assert_eq!(applied("a\nb", &format!("@@\n-b\n{marker}+c\n")).unwrap(), "a\nc\n");
    assert_eq!(applied("a\nb\n", &format!("@@\n-b\n+c\n{marker}")).unwrap(), "a\nc");
    assert_eq!(applied("a\nb\n", &format!("@@\n-b\n{marker}+c\n{marker}")).unwrap(), "a\nc\n");
    assert_eq!(applied("a\nb", "@@\n a\n b\n+c\n").unwrap(), "a\nb\nc");
    assert_eq!(applied("", "@@ -0,0 +1 @@\n+a\n").unwrap(), "a\n");
    assert_eq!(applied("a\n", "@@ -1 +0,0 @@\n-a\n").unwrap(), "");
}

#[test]
fn hunks_may_share_context_and_come_in_any_order_but_not_overlap() {
    let both = applied("a\nb\nc\n", "@@\n b\n-c\n+C\n@@\n-a\n+A\n b\n").unwrap();
    assert_eq!(both, "A\nb\nC\n");
    let beside = applied("a\nb\nc\n", "@@\n-a\n+A\n b\n@@\n a\n-b\n+B\n").unwrap();
    assert_eq!(beside, "A\nB\nc\n");
    assert_eq!(code(applied("a\nb\nc\n", "@@\n-a\n-b\n+A\n@@\n-b\n+B\n c\n")), "overlap");
    assert_eq!(code(applied("a\nb\nc\n", "@@\n a\n+A\n@@\n+B\n b\n")), "overlap");
    assert_eq!(code(applied("a\nb\nc\n", "@@\n-a\n+A\n@@\n-a\n+B\n")), "overlap");
}

#[test]
fn a_line_that_looks_like_a_fence_does_not_end_a_bare_diff() {
    let before = "a title\n~~~~~~~\n\nlr = 0.1\n";
    let patch = "@@\na title\n~~~~~~~\n\n-lr = 0.1\n+lr = 0.2\n";
    assert_eq!(applied(before, patch).unwrap(), before.replace("0.1", "0.2"));
}

#[test]
fn a_line_that_was_changed_stays_even_if_one_like_it_stands_elsewhere() {
    let block = |value: &str| format!("def f():\n    first({value})\n    second = compute()\n    return second\n\n\n");
    let before = block("1") + "x = 1\n";
    let patch = "@@ -48,3 +48,3 @@\n     first(4)\n-    second = compute()\n+    second = None\n     return second\n";
    assert_eq!(code(applied(&before, patch)), "no_match");
}

#[test]
fn a_line_may_be_doubled_at_the_edge_of_a_file() {
    let line = "value = compute()\n";
    for (before, after) in [(line.to_owned(), line.repeat(2)), (format!("x\n{line}"), format!("{line}{line}"))] {
        let patch = diff(&before, &after, "t.py");
        assert_eq!(apply(&files(&[("t.py", &before)]), &patch).unwrap()["t.py"], after);
    }
}

#[test]
fn nothing_hides_behind_another_notation() {
    let (block, envelope) = (
        "<<<<<<< SEARCH\nlr = 0.1\n=======\nlr = 0.2\n>>>>>>> REPLACE\n",
        "*** Begin Patch\n*** Update File: t.py\n@@\n-lr = 0.1\n+lr = 0.2\n*** End Patch\n",
    );
    let other = "--- a/eval.py\n+++ b/eval.py\n@@\n-x\n+y\n";
    for patch in [block, envelope] {
        for text in [format!("{patch}{other}"), format!("{other}{patch}"), format!("{patch}diff --git a/x.py b/x.py\n")] {
            assert_eq!(code(apply(&files(&[("t.py", FILE)]), &text)), "path_not_allowed", "{text}");
        }
    }
}

#[test]
fn nothing_is_applied_if_one_hunk_is_refused() {
    let texts = files(&[("a.py", "x = 1\n"), ("b.py", "y = 1\n")]);
    let patch = "--- a/a.py\n+++ b/a.py\n@@\n-x = 1\n+x = 2\n--- a/b.py\n+++ b/b.py\n@@\n-y = 1\n+y = 2\n";
    assert_eq!(apply(&texts, patch).unwrap(), files(&[("a.py", "x = 2\n"), ("b.py", "y = 2\n")]));
    let refusal = apply(&texts, &patch.replace("-y = 1", "-y = 3")).unwrap_err();
    assert_eq!((refusal.code(), refusal.place().0, refusal.place().1), ("no_match", 2, 1));
}

#[test]
fn what_looks_like_a_file_header_inside_a_hunk_is_a_change() {
    let (before, after) = ("-- a\nb\n", "++ a\nb\n");
    assert_eq!(apply(&files(&[("t.py", before)]), &diff(before, after, "t.py")).unwrap()["t.py"], after);
}

#[test]
fn what_looks_like_a_marker_of_a_block_inside_a_hunk_is_a_change() {
    for (before, after) in
        [("-- SEARCH\nb\n", "++ REPLACE\nb\n"), ("--SEARCH", "++REPLACE"), ("a\n-- SEARCH\n=======\n", "=======\n")]
    {
        properties::diff_leads(before, after);
    }
}

#[test]
fn what_looks_like_a_file_header_before_the_next_hunk_is_a_change() {
    let middle: String = (0..9).map(|line| format!("{line}\n")).collect();
    properties::diff_leads(&format!("a\n{middle}-- a\n{middle}b\n"), &format!("a\n{middle}++ a\n{middle}c\n"));
    let (before, after) = (format!("x\n-- a\n{middle}b\n"), format!("x\n++ a\n{middle}c\n"));
    let patch = "@@ -1,2 +1,2 @@\n x\n--- a\n+++ a\n@@ -12 +12 @@\n-b\n+c\n";
    assert_eq!(applied(&before, patch).unwrap(), after);
    let miscounted = "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n-x\n+y\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-x\n+z\n";
    let changed = apply(&files(&[("a.py", "x\n"), ("b.py", "x\n")]), miscounted);
    assert_eq!(changed.unwrap(), files(&[("a.py", "y\n"), ("b.py", "z\n")]));
}

#[test]
fn what_is_already_there_is_not_added_again() {
    let (added, removed) = ("@@\n lr = 0.1\n+momentum = 0.9\n", "@@\n-lr = 0.1\n+learning_rate = 0.2\n steps = 10\n");
    let once = applied(FILE, added).unwrap();
    assert_eq!(code(applied(&once, added)), "already_applied");
    assert_eq!(code(applied(&once, "@@\n+momentum = 0.9\n steps = 10\n")), "already_applied");
    let once = applied(FILE, removed).unwrap();
    assert_eq!(code(applied(&once, removed)), "already_applied");
}

#[test]
fn a_refusal_names_the_nearest_place() {
    let refusal = applied(FILE, "@@ -1,3 +1,3 @@\n def test():\n-    return lr * 2\n+    return 0\n").unwrap_err();
    let (hunk, line, similarity) = refusal.place();
    assert_eq!((refusal.code(), hunk, line), ("no_match", 1, 12));
    assert!(similarity > 0.8 && similarity < 1.0, "{similarity}");
    assert!(
        refusal.to_string().contains("has `    return lr` at line 12 where the hunk expects `    return lr * 2`"),
        "{refusal}"
    );
    let refusal = applied(FILE, "@@\n-stepz = 11\n+steps = 12\n").unwrap_err();
    assert_eq!(refusal.place().1, 4);
    assert_eq!(applied("", "@@\n-x\n+y\n").unwrap_err().place(), (1, 1, 0.0));
}

#[test]
fn repeated_lines_cost_little() {
    let before = "x\n".repeat(100_000);
    let hunk = "@@\n".to_owned() + &" x\n".repeat(5_000) + "-y\n+z\n";
    assert_eq!(code(applied(&before, &hunk)), "no_match");
    assert_eq!(code(applied(&before, &"@@\n-x\n+y\n".repeat(300))), "ambiguous");
    let equal = "x\n".repeat(2_000);
    let (before, after) = (" x\n".repeat(80) + "-x\n+y\n", " x\n".repeat(80));
    assert_eq!(code(applied(&equal, &format!("@@\n{before}{after}"))), "ambiguous");
    assert_eq!(code(applied(&equal, &format!("@@\n z\n{before}{after}"))), "ambiguous");
    assert_eq!(code(applied(&equal, &format!("@@\n{before} z\n{after}"))), "no_match");
}

#[test]
fn reading_costs_no_look_at_the_file_for_each_line() {
    let text: String = (0..20_000).map(|line| format!("value {line}\n")).collect();
    let before = text.clone() + "same\n# ... rest\nsame\n";
    let rows = "@@ -1 +1 @@\n--- a/t.py\n+++ b/t.py\n".repeat(4_000);
    assert_eq!(applied(&before, &format!("{rows}@@\n-value 7\n+x\n")).unwrap(), before.replace("value 7\n", "x\n"));
    let fences = "  ```\n  value 1\n  a\n  b\n  ```\n".repeat(15_000);
    assert_eq!(code(apply(&files(&[("t.py", &before)]), &fences)), "no_diff");
    let (dots, doubled) = ("+# ... rest\n".repeat(50_000), " # ... rest\n".repeat(50_000));
    assert!(applied(&before, &format!("@@\n value 1\n{dots} value 2\n")).is_ok());
    assert_eq!(code(applied(&before, &format!("@@\n value 1\n{doubled}-value 9\n"))), "no_match");
    let scopes: String = (0..4_900).map(|name| format!("@@ value {name}9\n-same\n+x\n")).collect();
    assert_eq!(code(applied(&before, &scopes)), "too_costly");
}

#[test]
fn a_block_may_be_for_what_those_before_it_leave() {
    let block = |old: &str, new: &str| format!("<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n");
    let apply = |patch: &str| apply(&files(&[("t.py", "a\nb\nc\n")]), patch).map(|mut changed| changed.remove("t.py").unwrap());
    assert_eq!(apply(&(block("a", "a\nx") + &block("x\nb", "y") + &block("y\nc", "z"))).unwrap(), "a\nz\n");
    assert_eq!(apply(&(block("a", "x") + &block("x\nb", "y") + &block("nowhere", "z"))).unwrap_err().place().0, 2);
    assert_eq!(code(applied("a\nb\nc\n", "@@\n-a\n+x\n@@\n-x\n-b\n+y\n")), "no_match");
    // hunks are for the file as it is
}

#[test]
fn what_takes_too_long_is_refused() {
    let before: String = (0..5_000).map(|line| format!("value {}\n", line % 50)).collect();
    let old: String = (0..3_000).map(|line| format!(" value {}\n", line * 7 % 50)).collect();
    assert_eq!(code(applied(&before, &format!("@@\n{old}-value 1\n+a\n"))), "too_costly");
}

fn text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        4 => prop::sample::select(vec!["", "a", "b", "    a", "c\r", "\r", " ", "-- a", "++ b", "@@ -1 +1 @@", "```", "\\ No newline"]),
        1 => Just("\u{2028}\u{c}"),
    ];
    let lines = prop::collection::vec(prop_oneof![9 => line.prop_map(str::to_owned), 1 => "[^\n]{0,12}"], 0..30);
    (lines, any::<bool>()).prop_map(|(lines, ended)| lines.join("\n") + if ended { "\n" } else { "" })
}

/// A text and one made from it by replacing some lines.
fn edited() -> impl Strategy<Value = (String, String)> {
    (text(), prop::collection::vec((0..40usize, text()), 0..4)).prop_map(|(before, edits)| {
        let mut lines: Vec<String> = before.split('\n').map(str::to_owned).collect();
        for (at, line) in edits {
            let at = at % (lines.len() + 1);
            lines.splice(at..(at + 2).min(lines.len()), line.split('\n').take(3).map(str::to_owned));
        }
        (before, lines.join("\n"))
    })
}

/// A patch in each notation that replaces lines of a text.
fn notations(before: &str, after: &str) -> Vec<String> {
    let hunks: String = diff(before, after, "t.py").lines().skip(2).map(|line| format!("{line}\n")).collect();
    let bare: String =
        hunks.lines().map(|line| if line.starts_with("@@") { "@@\n".to_owned() } else { format!("{line}\n") }).collect();
    vec![
        bare.clone(),
        format!("```diff\n{hunks}```\n"),
        format!("*** Begin Patch\n*** Update File: t.py\n{bare}*** End Patch\n"),
        format!("t.py\n<<<<<<< SEARCH\n{before}=======\n{after}>>>>>>> REPLACE\n"),
        format!("```\n{after}```\n"),
    ]
}

/// A patch in some notation for a text, with some lines left out, doubled, moved or replaced; or any text.
fn spoiled() -> impl Strategy<Value = (String, String)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..4u8, text()), 0..4);
    (edited(), 0..6usize, edits).prop_map(|((before, after), notation, edits)| {
        let mut lines: Vec<String> = match notations(&before, &after).get(notation) {
            Some(patch) => patch.lines().map(str::to_owned).collect(),
            None => after.split('\n').map(str::to_owned).collect(),
        };
        for (at, edit, text) in edits {
            let at = at.index(lines.len() + 1);
            match edit {
                0 if at < lines.len() => drop(lines.remove(at)),
                1 if at < lines.len() => lines.insert(at, lines[at].clone()),
                2 if at + 1 < lines.len() => lines.swap(at, at + 1),
                _ => lines.insert(at, text.lines().next().unwrap_or_default().to_owned()),
            }
        }
        (before, lines.join("\n") + "\n")
    })
}

#[test]
fn a_patch_is_applied_wholly_or_refused() {
    holds(spoiled(), |(before, patch)| properties::applies_wholly(&files(&[("t.py", &before), ("u.py", "x\n")]), &patch));
}

#[test]
fn whatever_is_read_ends_in_changes_or_a_sentence() {
    holds((spoiled(), text()), |((_, patch), text)| [patch, text].iter().for_each(|patch| properties::reads(patch)));
}

#[test]
fn a_diff_leads_from_each_odd_text_to_each_other() {
    let odd = [
        "",
        "\n",
        "\n\n\n",
        "x",
        "x\n",
        "x\r",
        "\r\n",
        "a\r\nb\r\n",
        "a\r\nb",
        "a\nb\r\nc\rd\n",
        "\u{feff}x\n",
        "\u{e9}e\u{301}\n\u{2028}x\u{85}\n",
        "a\u{c}b\n\u{c}\n\u{c}\u{b}\n",
        " \n\t\n\u{a0}\n",
        "-- a\n++ b\n",
        "-- \n- \n+ \n",
        "- a/t.py\n+ b/t.py\n@ -1 +1 @\n",
        "-- a/t.py\n++ b/t.py\n@@ -1 +1 @@\n-x\n+y\n",
        "diff --git a/t.py b/u.py\nindex 12..34 120000\n",
        "\\ No newline at end of file\nx",
        "```\nx\n~~~\n```\n",
        "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE\n",
        "------ SEARCH\nx\n=======\ny\n++++++ REPLACE\n",
        "*** Begin Patch\n*** Update File: t.py\n@@\n-x\n*** End Patch\n",
        "** Begin Patch\n...\n# ... the rest ...\n",
    ];
    odd.iter().for_each(|before| odd.iter().for_each(|after| properties::diff_leads(before, after)));
}

#[test]
fn a_diff_leads_from_one_text_to_another() {
    holds((text(), text()), |(before, after)| properties::diff_leads(&before, &after));
}

#[test]
fn a_diff_leads_to_an_edited_text() {
    holds(edited(), |(before, after)| properties::diff_leads(&before, &after));
}

#[test]
fn every_notation_leads_to_the_same_or_is_refused() {
    let lines = prop::collection::vec("[a-z]{0,3}( ?[a-z(){}]{0,4})", 3..30);
    holds((lines, any::<prop::sample::Index>(), "[a-z]{8,12}"), |(lines, at, new)| {
        let mut changed = lines.clone();
        *at.get_mut(&mut changed) = format!("    {new}");
        let (before, after) = (lines.join("\n") + "\n", changed.join("\n") + "\n");
        for patch in notations(&before, &after) {
            if let Ok(applied) = apply(&files(&[("t.py", &before)]), &patch) {
                assert_eq!(applied["t.py"], after, "{patch}");
            }
        }
    });
}
