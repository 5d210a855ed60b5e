//! The launcher's own loop: forks a keeper for each socket that comes in, and kills all when the controller is gone.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::{read, write, Errno};
use rustix::net::{recvmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{getpid, getppid, pidfd_open, set_child_subreaper, PidfdFlags};

use super::keep::{keep, keep_only};
use super::tree::{kill_all, reap, Children, Reaped};

/// Within which everything is dead after the controller is.
const PATIENCE: Duration = Duration::from_millis(1800);
/// Between two looks for orphans of a keeper that died.
const HUNT: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Serves until the controller closes its end, dies, or SIGTERM comes; kills all that was started and returns.
///
/// Says one byte when ready. Each message that comes in is one byte with one end of a socket pair, on which the keeper
/// forked for it speaks. Blocks signals for the calling process, which must have one thread and be its own session's leader.
pub fn serve(controller: OwnedFd) -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    let signals = Signals::open()?;
    // The socket stays open if the controller forked children of its own; its process descriptor tells of its death even so.
    let parent = getppid().and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    write(&controller, b"r")?;
    let mut keepers = BTreeSet::new();
    let mut orphans = false;
    loop {
        let mut waited: Vec<PollFd> = [controller.as_fd(), signals.as_fd()]
            .into_iter()
            .chain(parent.as_ref().map(AsFd::as_fd))
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        match poll(&mut waited, orphans.then_some(&HUNT)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => break,
        }
        let ready: Vec<bool> = waited.iter().map(|one| !one.revents().is_empty()).collect();
        if ready.get(2) == Some(&true) || (ready[1] && told_to_end(&signals)) {
            break;
        }
        while let Children::Ended(child) = reap() {
            orphans |= keepers.remove(&child.pid) && child.status != 0;
        }
        if orphans {
            orphans = !hunt(&mut keepers);
        }
        if ready[0] {
            match receive(&controller) {
                Ok(Some(socket)) => keepers.extend(fork_keeper(socket)),
                Ok(None) => {}
                Err(_) => break,
            }
        }
    }
    kill_all(&BTreeSet::new(), PATIENCE, |_| {});
    Ok(())
}

/// Kills what a dead keeper left to us; returns whether nothing was left of it.
fn hunt(keepers: &mut BTreeSet<i32>) -> bool {
    let mut ended: Vec<Reaped> = Vec::new();
    let done = kill_all(keepers, Duration::ZERO, |child| ended.push(child));
    let more = ended.iter().filter(|child| keepers.remove(&child.pid) && child.status != 0);
    more.count() == 0 && done
}

fn told_to_end(signals: &Signals) -> bool {
    let mut told = false;
    while let Some(signal) = signals.next() {
        told |= signal != libc::SIGCHLD;
    }
    told
}

/// The socket that a message brings. An error means that the controller is gone.
fn receive(controller: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let got = match recvmsg(controller, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags) {
        Err(Errno::INTR) => return Ok(None),
        other => other?,
    };
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut sockets = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(sockets.next())
}

/// The keeper's process id; None where the machine has no process left, which the controller sees by the closed socket.
fn fork_keeper(socket: OwnedFd) -> Option<i32> {
    let launcher = Some(getpid());
    // SAFETY: this process has one thread, so the child may do whatever it likes.
    match unsafe { libc::fork() } {
        0 => {
            let kept = catch_unwind(AssertUnwindSafe(|| keep_only(socket).and_then(|socket| keep(socket, launcher))));
            // SAFETY: ends the child without running what the launcher registered for its own end.
            unsafe { libc::_exit(i32::from(!matches!(kept, Ok(Ok(()))))) }
        }
        pid if pid > 0 => Some(pid),
        _ => None,
    }
}

/// SIGCHLD and the signals that mean "end", blocked and read from a descriptor.
pub(super) struct Signals(OwnedFd);

impl Signals {
    pub(super) fn open() -> io::Result<Self> {
        // SAFETY: an initialised set; the descriptor is new and ours.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
                libc::sigaddset(&mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            match libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                descriptor if descriptor >= 0 => Ok(Signals(OwnedFd::from_raw_fd(descriptor))),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The next signal that has come, None if there is none.
    pub(super) fn next(&self) -> Option<i32> {
        let mut buffer = [0; std::mem::size_of::<libc::signalfd_siginfo>()];
        let count = read(&self.0, &mut buffer).ok()?;
        let number = buffer.get(..4).filter(|_| count == buffer.len())?;
        Some(u32::from_ne_bytes(number.try_into().ok()?) as i32)
    }
}
