//! How long the core takes, seen from Rust: `cargo bench --no-default-features`.

mod clock;
mod pool;

fn main() {
    pool::measure();
}
