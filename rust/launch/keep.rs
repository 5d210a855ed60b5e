//! A keeper: the process that owns one stage from its start until nothing of it is left.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::process::{getpid, getppid, kill_process_group, set_child_subreaper, set_parent_process_death_signal, Pid, Signal};

use super::contention::Contention;
use super::logs::{Answer, Log, Stream};
use super::protocol::{after, Ended, Job, Lines, Terminate};
use super::serve::Signals;
use super::spawn::{spawn, Command, Spawned};
use super::tree::{self, Children, Reaped};

/// How long a process that does not die is waited for: it hangs in the kernel, on a device or a file server.
const PATIENCE: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 256 * 1024;

/// Runs the job that comes through `socket` and answers with how it ended. To be called in a forked child.
pub(super) fn keep(socket: UnixStream, launcher: Option<Pid>) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let signals = Signals::open()?;
    let mut lines = Lines::new(socket);
    let request = loop {
        match lines.next() {
            Some(line) => break line,
            // The launcher died before its death could be signalled, or nobody wants the job any more.
            None if getppid() != launcher || !lines.fill() => return Ok(()),
            None => {}
        }
    };
    let ended = match serde_json::from_slice(&request) {
        Ok(job) => run(&job, &mut lines, &signals),
        Err(error) => lost(format!("the launcher cannot read the job: {error}")),
    };
    let mut answer = serde_json::to_vec(&ended)?;
    answer.push(b'\n');
    lines.socket().write_all(&answer)
}

fn lost(reason: String) -> Ended {
    Ended { lost: reason, ..Ended::default() }
}

fn run(job: &Job, lines: &mut Lines, signals: &Signals) -> Ended {
    let command = match Command::new(job) {
        Ok(command) => command,
        Err(unstartable) => return Ended { unstartable, ..Ended::default() },
    };
    let open = |path: &[u8]| {
        let path = Path::new(OsStr::from_bytes(path));
        Log::create(path, job.log_bytes).map_err(|error| format!("log {}: {error}", path.display()))
    };
    let (stdout, stderr) = match (open(&job.stdout.0), open(&job.stderr.0)) {
        (Ok(stdout), Ok(stderr)) => (stdout, stderr),
        (Err(error), _) | (_, Err(error)) => return lost(error),
    };
    let begun = Instant::now();
    match spawn(&command, job) {
        Ok(spawned) => Stage::new(spawned, stdout, stderr, begun).run(job, &command, lines, signals),
        Err(error) => lost(format!("the process could not be made: {error}")),
    }
}

/// A running stage.
struct Stage {
    pid: i32,
    begun: Instant,
    stdout: Stream<Log>,
    stderr: Stream<Log>,
    answer: Option<Stream<Answer>>,
    failure: Stream<Answer>,
    buffer: Vec<u8>,
    status: Option<i32>,
    deadline: Option<Instant>,
    mercy: Option<Instant>,
    timed_out: bool,
    lost: String,
    contention: Contention,
}

impl Stage {
    fn new(spawned: Spawned, stdout: Log, stderr: Log, begun: Instant) -> Self {
        Stage {
            pid: spawned.pid,
            begun,
            stdout: Stream::new(spawned.stdout, stdout),
            stderr: Stream::new(spawned.stderr, stderr),
            answer: spawned.answer.map(|pipe| Stream::new(pipe, Answer::default())),
            failure: Stream::new(spawned.failure, Answer::default()),
            buffer: vec![0; BUFFER_BYTES],
            status: None,
            deadline: None,
            mercy: None,
            timed_out: false,
            lost: String::new(),
            contention: Contention::begin(begun),
        }
    }

    fn run(mut self, job: &Job, command: &Command, lines: &mut Lines, signals: &Signals) -> Ended {
        self.deadline = after(job.timeout_s);
        loop {
            // A line may have come together with the job.
            while let Some(line) = lines.next() {
                self.terminate(&line);
            }
            if self.over() {
                break;
            }
            let ready = self.wait(lines.socket(), signals);
            self.pump();
            if ready.signal || self.contention.due() <= Instant::now() {
                self.contention.look(); // before children are waited for: what they waited is then forgotten
            }
            if ready.signal {
                self.hear(signals);
            }
            if ready.socket && !lines.fill() {
                break;
            }
        }
        self.end();
        self.ended(command)
    }

    /// Whether the stage has ended or is to be killed now.
    fn over(&mut self) -> bool {
        let now = Instant::now();
        self.timed_out = self.status.is_none() && self.deadline.is_some_and(|deadline| deadline <= now);
        let merciless = self.mercy.is_some_and(|mercy| mercy <= now);
        self.status.is_some() || self.timed_out || merciless || !self.lost.is_empty()
    }

    /// Blocks until there is something to do.
    fn wait(&self, socket: &UnixStream, signals: &Signals) -> Ready {
        let next = [self.deadline, self.mercy, Some(self.contention.due())].into_iter().flatten().min();
        let rest = next.map(|moment| moment.saturating_duration_since(Instant::now()));
        let timeout = rest.and_then(|rest| Timespec::try_from(rest).ok());
        let pipes =
            [self.stdout.source(), self.stderr.source(), self.answer.as_ref().and_then(Stream::source), self.failure.source()];
        let always: [BorrowedFd; 2] = [socket.as_fd(), signals.as_fd()];
        let mut waited: Vec<PollFd> = always
            .into_iter()
            .chain(pipes.into_iter().flatten())
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        match poll(&mut waited, timeout.as_ref()) {
            Ok(_) => Ready { socket: !waited[0].revents().is_empty(), signal: !waited[1].revents().is_empty() },
            Err(_) => Ready::default(),
        }
    }

    fn pump(&mut self) {
        self.stdout.pump(&mut self.buffer);
        self.stderr.pump(&mut self.buffer);
        self.failure.pump(&mut self.buffer);
        if let Some(answer) = &mut self.answer {
            answer.pump(&mut self.buffer);
        }
    }

    fn hear(&mut self, signals: &Signals) {
        while let Some(signal) = signals.next() {
            if signal != libc::SIGCHLD {
                self.lost = "the launcher was ended while the stage ran".into();
            }
        }
        while let Children::Ended(child) = tree::reap() {
            self.note(&child);
        }
    }

    fn note(&mut self, child: &Reaped) {
        if child.pid == self.pid {
            self.status = Some(child.status);
        }
    }

    fn terminate(&mut self, line: &[u8]) {
        let grace_s = serde_json::from_slice::<Terminate>(line).map_or(0.0, |asked| asked.grace_s);
        if self.mercy.is_none() && self.status.is_none() {
            self.mercy = after(grace_s);
            if let Some(group) = Pid::from_raw(self.pid) {
                // It is gone only if the main process ended just now, which the next round sees.
                let _ = kill_process_group(group, Signal::TERM);
            }
        }
    }

    /// Kills the tree and takes what is left in the pipes, which others may still hold open.
    fn end(&mut self) {
        self.contention.look();
        let (mut status, pid) = (self.status, self.pid);
        let dead = tree::kill_all(&BTreeSet::new(), PATIENCE, |child| {
            if child.pid == pid {
                status = Some(child.status);
            }
        });
        self.status = status;
        if !dead && self.lost.is_empty() {
            let seconds = PATIENCE.as_secs();
            self.lost = format!("a process of the stage (main process {pid}) could not be killed for {seconds} s");
        }
        // Nobody writes any more, and a pipe holds at most what one call takes.
        self.pump();
    }

    fn ended(mut self, command: &Command) -> Ended {
        let elapsed_s = self.begun.elapsed().as_secs_f64();
        let (cpu_s, peak_rss_bytes) = usage();
        let contention = self.contention.share(cpu_s);
        let output_bytes = self.stdout.sink.seen() + self.stderr.sink.seen();
        self.stdout.sink.finish();
        let unstartable = command.explain(self.failure.sink.bytes());
        let exited = self.status.filter(|_| unstartable.is_none());
        Ended {
            exit_code: exited.filter(|&status| libc::WIFEXITED(status)).map(|status| libc::WEXITSTATUS(status)),
            signal: exited.filter(|&status| libc::WIFSIGNALED(status)).map(|status| libc::WTERMSIG(status)),
            timed_out: self.timed_out,
            elapsed_s,
            cpu_s,
            contention,
            peak_rss_bytes,
            output_bytes,
            stderr_tail: self.stderr.sink.finish(),
            answer: self.answer.map(|stream| stream.sink.text()),
            lost: self.lost,
            unstartable: unstartable.unwrap_or_default(),
        }
    }
}

/// What `Stage::wait` found.
#[derive(Default)]
struct Ready {
    socket: bool,
    signal: bool,
}

/// CPU seconds of all descendants that were waited for, and resident bytes of the largest of them.
fn usage() -> (f64, u64) {
    // SAFETY: a zeroed structure is a valid one, and is valid for writing.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss as u64 * 1024)
}

/// Turns a descriptor into the keeper's socket and closes all others but the standard ones. To be called in a forked child.
pub(super) fn keep_only(socket: OwnedFd) -> io::Result<UnixStream> {
    const PLACE: i32 = 3;
    use std::os::fd::{FromRawFd, IntoRawFd};
    let descriptor = socket.into_raw_fd();
    // SAFETY: this process is forked to do nothing but `keep`, which uses no descriptor that was opened before.
    unsafe {
        if descriptor != PLACE && libc::dup2(descriptor, PLACE) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::fcntl(PLACE, libc::F_SETFD, libc::FD_CLOEXEC);
        if libc::syscall(libc::SYS_close_range, PLACE + 1, libc::c_uint::MAX, 0) != 0 {
            for other in PLACE + 1..1024 {
                libc::close(other);
            }
        }
        Ok(UnixStream::from_raw_fd(PLACE))
    }
}
