//! How long the core takes, seen from Rust: `cargo bench --no-default-features`, or `make bench` beside the peers.

mod clock;
mod forecast;
mod patch;
mod pool;

fn main() {
    forecast::measure();
    patch::measure();
    pool::measure();
}
