//! The launcher: one small process per campaign that starts stages, watches them and leaves none of their processes behind.
//!
//! The controller sends the launcher one end of a socket pair for each stage. The launcher forks a *keeper* that owns this
//! stage alone: it reads the job from the socket, starts the stage, pumps its output into capped files, kills it on time,
//! and answers with one line. As the keeper is a child subreaper, whatever the stage starts stays below the keeper, also
//! after a double fork or `setsid`, so that "the stage's process tree" needs no guessing. Every watcher is watched:
//!
//! * the controller dies: keepers see their sockets close and kill their trees; the launcher kills all that is left;
//! * the launcher dies: its keepers get SIGTERM and kill their trees;
//! * a keeper dies: its stage gets SIGKILL, and the launcher inherits and kills the rest.
//!
//! What this does not protect against: a stage runs as the same user. It can read and write what that user can, can talk
//! to the network, and can kill launcher and keeper together before its own processes are found.

#[cfg(not(target_os = "linux"))]
compile_error!("the launcher needs Linux: it stands on child subreapers, parent-death signals and /proc");

mod contention;
mod keep;
mod logs;
mod protocol;
mod serve;
mod spawn;
mod tree;

pub use serve::serve;
