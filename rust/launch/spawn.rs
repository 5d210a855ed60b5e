//! Starts the process of a stage: own session, limits, pipes for its output, nothing else of ours.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{fcntl_setpipe_size, pipe_with, PipeFlags};

use super::protocol::Job;

/// Where the child finds its answer pipe.
const ANSWER_FD: RawFd = 3;
/// Where programs are looked up if the environment has no PATH.
const USUAL_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";
const PIPE_BYTES: usize = 1 << 20;
/// Open files that a stage may have, where the system allows it: more than any training needs, few enough for programs
/// that walk through all of them.
const OPEN_FILES: libc::rlim_t = 65_536;
const IN_FOLDER: i32 = 1;
const IN_EXEC: i32 = 2;

/// A started stage. The read ends do not block.
pub(super) struct Spawned {
    /// Its main process, which leads a session and a process group of its own.
    pub(super) pid: i32,
    /// Read end of its stdout.
    pub(super) stdout: OwnedFd,
    /// Read end of its stderr.
    pub(super) stderr: OwnedFd,
    /// Read end of its answer pipe, where it has one.
    pub(super) answer: Option<OwnedFd>,
    /// Read end of a pipe that closes empty when the program starts, and else holds what `explain` understands.
    pub(super) failure: OwnedFd,
}

/// A job in the form that `execve` takes.
pub(super) struct Command {
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    /// Paths to try one after another.
    programs: Vec<CString>,
}

impl Command {
    /// A sentence says why not.
    pub(super) fn new(job: &Job) -> Result<Self, String> {
        let program = &job.argv.first().ok_or("the command is empty")?.0;
        let mut argv: Vec<CString> = Vec::new();
        for part in &job.argv {
            argv.push(text(&part.0, "the command")?);
        }
        if job.answer {
            ensure_free(job)?;
        }
        let mut env: Vec<CString> = Vec::new();
        for (name, value) in &job.env {
            if name.0.is_empty() || name.0.contains(&b'=') {
                return Err(format!("the environment has a variable named {}", shown(&name.0)));
            }
            env.push(text(&[&name.0, b"=".as_slice(), &value.0].concat(), "the environment")?);
        }
        if job.answer {
            env.push(text(format!("AR_ANSWER_FD={ANSWER_FD}").as_bytes(), "the environment")?);
        }
        let path = job.env.iter().find(|(name, _)| name.0 == b"PATH");
        let folders = path.map_or(USUAL_PATH, |(_, value)| &value.0);
        let mut programs = Vec::new();
        if program.contains(&b'/') {
            programs.push(argv[0].clone());
        } else {
            for folder in folders.split(|&byte| byte == b':') {
                let folder = if folder.is_empty() { b"." } else { folder };
                programs.push(text(&[folder, b"/", program].concat(), "PATH")?);
            }
        }
        let cwd = text(&job.cwd.0, "the working directory")?;
        Ok(Command { argv, env, cwd, programs })
    }

    /// Why the program could not be started, from what came through the failure pipe.
    pub(super) fn explain(&self, failure: &[u8]) -> Option<String> {
        let number = |at: usize| Some(i32::from_ne_bytes(failure.get(at..at + 4)?.try_into().ok()?));
        let (step, errno) = (number(0)?, number(4)?);
        let said = io::Error::from_raw_os_error(errno);
        let cwd = Path::new(OsStr::from_bytes(self.cwd.as_bytes()));
        if step == IN_FOLDER {
            return Some(format!("working directory {}: {said}", cwd.display()));
        }
        let name = shown(self.argv[0].as_bytes());
        let places = self.programs.iter().map(|path| cwd.join(OsStr::from_bytes(path.as_bytes())));
        let there = places.clone().find(|path| path.exists());
        Some(match (errno, there) {
            (libc::ENOENT | libc::ENOTDIR, Some(path)) => bad_interpreter(&path),
            (libc::ENOENT | libc::ENOTDIR, None) if self.argv[0].as_bytes().contains(&b'/') => {
                format!("{name}: no such file (a relative path starts at {})", cwd.display())
            }
            (libc::ENOENT | libc::ENOTDIR, None) => format!("{name}: no such program in the PATH of the stage"),
            (libc::EACCES, Some(path)) if path.is_dir() => format!("{} is a folder, not a program", path.display()),
            (libc::EACCES, Some(path)) => {
                format!("{}: permission denied: not executable (chmod +x it)", path.display())
            }
            (libc::ENOEXEC, Some(path)) => format!(
                "{} is neither a program for this machine nor a script whose first line is #! and an interpreter",
                path.display()
            ),
            _ => format!("{name}: {said}"),
        })
    }
}

fn ensure_free(job: &Job) -> Result<(), String> {
    match job.env.iter().any(|(name, _)| name.0 == b"AR_ANSWER_FD") {
        true => Err("the environment names AR_ANSWER_FD, which is set by the launcher".into()),
        false => Ok(()),
    }
}

fn bad_interpreter(path: &Path) -> String {
    let start = std::fs::read(path).unwrap_or_default();
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match line.strip_prefix(b"#!") {
        Some(interpreter) => format!(
            "{}: bad interpreter: its first line names {}, which does not exist",
            path.display(),
            shown(interpreter.trim_ascii())
        ),
        None => format!("{}: the loader that it was built for does not exist on this machine", path.display()),
    }
}

fn text(bytes: &[u8], place: &str) -> Result<CString, String> {
    CString::new(bytes).map_err(|_| format!("{place} holds a NUL byte: {}", shown(bytes)))
}

fn shown(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    format!("{text:?}")
}

/// Forks and starts the command; errors are of the machine, not of the command.
pub(super) fn spawn(command: &Command, job: &Job) -> io::Result<Spawned> {
    let null = std::fs::File::open("/dev/null")?;
    let (stdout, stdout_end) = output_pipe()?;
    let (stderr, stderr_end) = output_pipe()?;
    let (failure, failure_end) = output_pipe()?;
    let answer = if job.answer { Some(output_pipe()?) } else { None };
    let (answer, answer_end) = answer.map_or((None, None), |(read, write)| (Some(read), Some(write)));
    let limits = limits(job);
    let argv = pointers(&command.argv);
    let env = pointers(&command.env);
    let ours = std::process::id() as libc::pid_t;
    // SAFETY: the child calls async-signal-safe functions only, on memory laid out before the fork.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let child = Child {
            command,
            argv,
            env,
            limits,
            inputs: [null.as_raw_fd(), stdout_end.as_raw_fd(), stderr_end.as_raw_fd()],
            answer: answer_end.as_ref().map(AsRawFd::as_raw_fd),
            failure: failure_end.as_raw_fd(),
            parent: ours,
        };
        // SAFETY: as above; this never returns.
        unsafe { child.start() }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Spawned { pid, stdout, stderr, answer, failure })
}

/// A pipe whose read end does not block and whose write end does. Both lie above all descriptors that the child arranges.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&read, fcntl_getfl(&read)? | OFlags::NONBLOCK)?;
    // Refused where the user's pipes are many already: a smaller one does, with more wake-ups.
    let _ = fcntl_setpipe_size(&read, PIPE_BYTES);
    Ok((read, fcntl_dupfd_cloexec(&write, 10)?))
}

type Limit = (libc::__rlimit_resource_t, libc::rlim_t, libc::rlim_t);

/// Resource, soft and hard limit.
fn limits(job: &Job) -> Vec<Limit> {
    let hard = |resource| {
        let mut now = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: `now` is valid for writing.
        unsafe { libc::getrlimit(resource, &mut now) };
        now.rlim_max
    };
    let files = hard(libc::RLIMIT_NOFILE);
    let mut limits = vec![(libc::RLIMIT_CORE, 0, 0), (libc::RLIMIT_NOFILE, files.min(OPEN_FILES), files)];
    for (resource, wanted) in [(libc::RLIMIT_AS, job.memory_bytes), (libc::RLIMIT_FSIZE, job.file_bytes)] {
        if let Some(wanted) = wanted {
            let most = hard(resource).min(wanted);
            limits.push((resource, most, most));
        }
    }
    limits
}

fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
}

/// What the child needs between fork and exec.
struct Child<'a> {
    command: &'a Command,
    argv: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
    limits: Vec<Limit>,
    inputs: [RawFd; 3],
    answer: Option<RawFd>,
    failure: RawFd,
    parent: libc::pid_t,
}

impl Child<'_> {
    /// Becomes the command.
    ///
    /// # Safety
    /// To be called in a freshly forked child only, which it replaces or ends. It allocates nothing and takes no lock, because a
    /// thread that is not in the child may hold it.
    unsafe fn start(&self) -> ! {
        libc::setsid();
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != self.parent {
            libc::_exit(127);
        }
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::umask(0o022);
        if libc::chdir(self.command.cwd.as_ptr()) != 0 {
            self.fail(IN_FOLDER, errno());
        }
        // `inputs` may hold 0, 1 or 2 only at their own place: the keeper keeps all three open.
        for (place, &input) in self.inputs.iter().enumerate() {
            libc::dup2(input, place as RawFd);
        }
        if let Some(answer) = self.answer {
            libc::dup2(answer, ANSWER_FD);
        }
        let first = ANSWER_FD + libc::c_int::from(self.answer.is_some());
        close_on_exec(first);
        for &(resource, soft, hard) in &self.limits {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            libc::setrlimit(resource, &limit);
        }
        let mut worst = libc::ENOENT;
        for program in &self.command.programs {
            libc::execve(program.as_ptr(), self.argv.as_ptr(), self.env.as_ptr());
            match errno() {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => worst = libc::EACCES,
                other => self.fail(IN_EXEC, other),
            }
        }
        self.fail(IN_EXEC, worst)
    }

    /// Tells the parent what failed, and ends.
    ///
    /// # Safety
    /// As for `start`.
    unsafe fn fail(&self, step: i32, errno: i32) -> ! {
        let words = [step, errno];
        libc::write(self.failure, words.as_ptr().cast(), 8);
        libc::_exit(127)
    }
}

/// What the last call of this thread failed with.
///
/// # Safety
/// None is asked for; the address is this thread's own.
unsafe fn errno() -> i32 {
    *libc::__errno_location()
}

/// Marks all descriptors from `first` on, whoever opened them.
///
/// # Safety
/// To be called where nobody relies on them beyond the next `execve`: in a forked child.
unsafe fn close_on_exec(first: RawFd) {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    if libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) != 0 {
        // Linux before 5.11. The keeper has few descriptors, all of them low.
        for descriptor in first..1024 {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
        }
    }
}
