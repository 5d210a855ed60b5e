//! Process trees: what descends from a process, and how to leave none of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{getpgrp, getpid, kill_process, kill_process_group, Pid, Signal};

/// A child that was waited for.
pub(super) struct Reaped {
    /// Its process id.
    pub(super) pid: i32,
    /// As `wait4` gives it.
    pub(super) status: i32,
}

/// What `reap` found.
pub(super) enum Children {
    /// A child has ended.
    Ended(Reaped),
    /// There are children, none of which has ended.
    Running,
    /// There is none. As orphans come to the nearest subreaper, there is then no descendant either.
    None,
}

/// Waits for one child that has ended, without blocking.
pub(super) fn reap() -> Children {
    let mut status = 0;
    // SAFETY: `status` is valid for writing; the usage is not asked for.
    match unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, std::ptr::null_mut()) } {
        0 => Children::Running,
        pid if pid > 0 => Children::Ended(Reaped { pid, status }),
        _ => Children::None,
    }
}

/// Kills everything that descends from this process but what descends from `spared`, and reaps what ends.
///
/// `ended` hears of every child that was reaped. Returns whether none is left; false once `patience` is over.
pub(super) fn kill_all(spared: &BTreeSet<i32>, patience: Duration, mut ended: impl FnMut(Reaped)) -> bool {
    let begun = Instant::now();
    loop {
        let left = loop {
            match reap() {
                Children::Ended(child) => ended(child),
                Children::Running => break true,
                Children::None => break false,
            }
        };
        // A fork that races with the kill shows up in the next round: killing a whole group is atomic against forks.
        if !left || (kill_below(spared) == 0 && !spared.is_empty()) {
            return true;
        }
        if begun.elapsed() > patience {
            return false;
        }
        wait_for_child(Duration::from_millis(if begun.elapsed().as_millis() < 50 { 1 } else { 10 }));
    }
}

/// One round: SIGKILL to all living descendants that are found and to their process groups; returns how many there were.
fn kill_below(spared: &BTreeSet<i32>) -> usize {
    let mut groups = HashSet::new();
    let found = descendants(spared);
    for entry in &found {
        send(entry.pid, false);
        groups.insert(entry.group);
    }
    // A descendant is in our own group only between its fork and its `setsid`.
    groups.remove(&getpgrp().as_raw_nonzero().get());
    for group in groups {
        send(group, true);
    }
    found.len()
}

fn send(id: i32, group: bool) {
    let Some(id) = Pid::from_raw(id).filter(|pid| !pid.is_init()) else {
        return;
    };
    // It may be gone already, or be no longer ours to kill (setuid); the caller sees who is left.
    let _ = if group { kill_process_group(id, Signal::KILL) } else { kill_process(id, Signal::KILL) };
}

/// Sleeps until a child ends, at most `most`. SIGCHLD must be blocked.
fn wait_for_child(most: Duration) {
    let wait = libc::timespec { tv_sec: 0, tv_nsec: i64::from(most.subsec_nanos()) };
    // SAFETY: an initialised set and a valid time; the signal's details are not asked for.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        libc::sigtimedwait(&set, std::ptr::null_mut(), &wait);
    }
}

#[derive(Debug, PartialEq)]
struct Entry {
    pid: i32,
    parent: i32,
    group: i32,
    dead: bool,
}

/// Process ids of all descendants of this process, of those that have ended and were not waited for too.
pub(super) fn below() -> Vec<i32> {
    all_below(&BTreeSet::new()).into_iter().map(|entry| entry.pid).collect()
}

/// Living descendants of this process, without `spared` and theirs.
fn descendants(spared: &BTreeSet<i32>) -> Vec<Entry> {
    let mut found = all_below(spared);
    found.retain(|entry| !entry.dead);
    found
}

/// Descendants of this process, dead or alive, without `spared` and theirs.
fn all_below(spared: &BTreeSet<i32>) -> Vec<Entry> {
    let mut below: HashMap<i32, Vec<Entry>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok());
        let stat = pid.and_then(|pid| fs::read(format!("/proc/{pid}/stat")).ok());
        if let Some(entry) = stat.and_then(|stat| parse(&stat)) {
            below.entry(entry.parent).or_default().push(entry);
        }
    }
    let mut found = Vec::new();
    let mut open = vec![getpid().as_raw_nonzero().get()];
    while let Some(parent) = open.pop() {
        for entry in below.remove(&parent).unwrap_or_default() {
            if !spared.contains(&entry.pid) {
                open.push(entry.pid);
                found.push(entry);
            }
        }
    }
    found
}

/// Reads `PID (NAME) STATE PARENT GROUP ...`; the name may hold anything, closing parentheses and line ends too.
fn parse(stat: &[u8]) -> Option<Entry> {
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.trim().parse().ok();
    let mut fields = stat.get(close + 2..)?.split(|&byte| byte == b' ');
    let dead = matches!(fields.next()?, b"Z" | b"X");
    Some(Entry { pid: number(&stat[..open])?, parent: number(fields.next()?)?, group: number(fields.next()?)?, dead })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_forge_a_line() {
        let stat = b"42 (evil) R 1 1) S 7 8 9 0 -1";
        let expected = Entry { pid: 42, parent: 7, group: 8, dead: false };
        assert_eq!(parse(stat), Some(expected));
        assert!(parse(b"42 (zombie) Z 7 8 9").is_some_and(|entry| entry.dead));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"42 (cut)"), None);
    }
}
