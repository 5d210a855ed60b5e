//! How much of the CPU time that a stage could have used went to others, from what any user may read in /proc.
//!
//! Two things are known: how long threads of the stage were runnable and waited for a CPU (their `schedstat`), and how
//! long the CPUs that they may use worked for somebody else. The stage lost at most either: threads of its own that stand in
//! each other's way cost nothing that another process took, and what runs on a CPU that the stage does not want costs nothing
//! at all. A hypervisor that takes a CPU away while the stage runs (steal) is somebody else, too.
//!
//! Not seen: shared caches, memory bandwidth, clock rates, disks, the sibling of a hyperthread; a thread's wait since it
//! was last looked at, once it has ended.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::thread::{sched_getaffinity, CpuSet};

use super::tree;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// A look is taken once that many times the CPU time of the last one have passed: it must not be what it measures.
const RARELY: u32 = 10;

/// What is known of one stage; to be asked to `look` now and then.
pub(super) struct Contention {
    begun: Instant,
    busy: Option<Busy>,
    /// Nanoseconds waited, by thread id, as of the last look.
    threads: HashMap<i32, u64>,
    /// Nanoseconds that threads waited which have ended.
    ended: u64,
    known: bool,
    next: Instant,
    interval: Duration,
    earliest: Instant,
}

impl Contention {
    /// To be called when the stage starts.
    pub(super) fn begin(begun: Instant) -> Self {
        Contention {
            begun,
            busy: Busy::read(),
            threads: HashMap::new(),
            ended: 0,
            known: false,
            next: begun + FIRST,
            interval: FIRST,
            earliest: begun,
        }
    }

    /// When the next look is due.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// Looks at all threads of the stage, as long as it is not too soon; to be called too before a process is waited for.
    pub(super) fn look(&mut self) {
        let (now, spent) = (Instant::now(), own_cpu());
        if now < self.earliest {
            self.next = self.next.max(self.earliest);
            return;
        }
        let mut seen = HashMap::new();
        for pid in tree::below() {
            for (thread, waited) in threads(pid) {
                seen.insert(thread, waited);
            }
        }
        self.known |= !seen.is_empty();
        self.take(seen);
        self.earliest = Instant::now() + RARELY * own_cpu().saturating_sub(spent);
        if now >= self.next {
            self.interval = (2 * self.interval).min(LONGEST);
        }
        self.next = self.earliest.max(now + self.interval);
    }

    fn take(&mut self, seen: HashMap<i32, u64>) {
        for (thread, &before) in &self.threads {
            // A thread's number may be used again: its wait is shorter then.
            if seen.get(thread).is_none_or(|&now| now < before) {
                self.ended += before;
            }
        }
        self.threads = seen;
    }

    /// The share of its time, 0 to 1, for which a stage that used `cpu_s` was kept from CPUs by others; None if unknown.
    pub(super) fn share(&self, cpu_s: f64) -> Option<f64> {
        let (before, after) = (self.busy?, Busy::read()?);
        if !self.known {
            return None;
        }
        let waited_s = (self.ended + self.threads.values().sum::<u64>()) as f64 / 1e9;
        Some(share(
            self.begun.elapsed().as_secs_f64(),
            cpu_s,
            waited_s,
            after.work_s - before.work_s,
            after.steal_s - before.steal_s,
        ))
    }
}

/// CPU time of this process; wall time would be that of others too, where the CPU is contended.
fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// `work_s`: seconds that the stage's CPUs worked for whomever; `steal_s`: that they were taken away while they had work.
fn share(wall_s: f64, cpu_s: f64, waited_s: f64, work_s: f64, steal_s: f64) -> f64 {
    let others_s = (work_s - cpu_s).max(0.0);
    let all_s = cpu_s + others_s;
    let stolen_s = if all_s > 0.0 { steal_s.max(0.0) * cpu_s / all_s } else { 0.0 };
    let lost_s = waited_s.min(others_s) + stolen_s;
    let wanted_s = wall_s.max(cpu_s + lost_s);
    if wanted_s > 0.0 {
        lost_s / wanted_s
    } else {
        0.0
    }
}

/// What the CPUs that this process may use have done so far.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Busy {
    work_s: f64,
    steal_s: f64,
}

impl Busy {
    fn read() -> Option<Self> {
        let allowed = sched_getaffinity(None).ok()?;
        // SAFETY: it only answers a question.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        Self::parse(&fs::read_to_string("/proc/stat").ok()?, ticks, |cpu| cpu < CpuSet::MAX_CPU && allowed.is_set(cpu))
    }

    /// Reads lines `cpuN USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL ...`, in ticks; None without any.
    fn parse(text: &str, ticks: f64, allowed: impl Fn(usize) -> bool) -> Option<Self> {
        let mut found = None;
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let cpu = fields.next().and_then(|name| name.strip_prefix("cpu")).and_then(|number| number.parse().ok());
            if !cpu.is_some_and(&allowed) {
                continue;
            }
            let spent: Vec<f64> = fields.map_while(|field| field.parse().ok()).collect();
            if let [user, nice, system, _, _, irq, softirq, steal, ..] = spent[..] {
                let sum = found.get_or_insert(Busy { work_s: 0.0, steal_s: 0.0 });
                sum.work_s += (user + nice + system + irq + softirq) / ticks;
                sum.steal_s += steal / ticks;
            }
        }
        found
    }
}

/// (thread id, nanoseconds waited) of a process's threads, of a zombie's first one too.
fn threads(pid: i32) -> Vec<(i32, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let numbers = tasks.filter_map(|task| task.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter_map(|thread| {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
            Some((thread, text.split_ascii_whitespace().nth(1)?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_took_is_at_most_what_was_waited_for() {
        // One thread, one hog on its CPU: half.
        assert!((share(2.0, 1.0, 1.0, 2.0, 0.0) - 0.5).abs() < 1e-9);
        // The hog is on another CPU: nothing was waited for.
        assert_eq!(share(2.0, 2.0, 0.0, 4.0, 0.0), 0.0);
        // Four threads of its own on two CPUs, nobody else.
        assert_eq!(share(2.0, 4.0, 4.0, 4.0, 0.0), 0.0);
        // Four threads and a hog on two CPUs: the hog has a fifth of them.
        assert!((share(2.0, 3.2, 4.8, 4.0, 0.0) - 0.2).abs() < 1e-9);
        // It mostly sleeps, and so loses little of its time, though much of what it runs.
        assert!((share(10.0, 0.1, 0.1, 5.0, 0.0) - 0.01).abs() < 1e-9);
        // A quarter was stolen.
        assert!((share(4.0, 3.0, 0.0, 3.0, 1.0) - 0.25).abs() < 1e-9);
        assert_eq!(share(0.0, 0.0, 0.0, 0.0, 0.0), 0.0);
    }

    #[test]
    fn only_cpus_that_may_be_used_count() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 50 50 7000 30 10 10 40 0 0\ncpu1 900 0 0 0 0 0 0 0 0 0\nintr 1 2\n";
        let expected = Busy { work_s: 2.2, steal_s: 0.4 };
        assert_eq!(Busy::parse(text, 100.0, |cpu| cpu == 0), Some(expected));
        assert_eq!(Busy::parse("intr 1 2\n", 100.0, |_| true), None);
        assert_eq!(Busy::parse("cpu0 1 2 3\n", 100.0, |_| true), None);
    }

    #[test]
    fn waits_of_threads_that_ended_are_kept() {
        let mut contention = Contention::begin(Instant::now());
        contention.take(HashMap::from([(1, 10), (2, 20)]));
        contention.take(HashMap::from([(1, 15), (2, 5)]));
        contention.take(HashMap::from([(3, 1)]));
        assert_eq!(contention.ended + contention.threads.values().sum::<u64>(), 15 + 20 + 5 + 1);
    }

    #[test]
    fn own_threads_are_seen() {
        assert!(!threads(std::process::id() as i32).is_empty() || !std::path::Path::new("/proc/self/schedstat").exists());
        assert!(Busy::read().is_some());
    }
}
