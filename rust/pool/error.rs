//! Why a capacity, a request, a withdrawal or a release was refused.

use thiserror::Error;

use super::amount::MAX_AMOUNT;

/// Why the pool refused. Nothing was changed; the message names what was wrong and the remedy.
#[derive(Debug, Clone, PartialEq, Error)]
#[allow(missing_docs)] // the messages say it
pub enum PoolError {
    #[error("{name}={amount} is not an amount; give a finite number from 0 to {MAX_AMOUNT:e}")]
    BadAmount { name: String, amount: f64 },
    #[error("{name}={amount} is less than a millionth; give 0 or at least 0.000001")]
    TooSmall { name: String, amount: f64 },
    #[error("capacity {name}={capacity} is not the number of its devices ({devices}); leave one of them out or make them agree")]
    DeviceCount { name: String, capacity: f64, devices: usize },
    #[error("device {device} of {name} is listed twice; list each once")]
    DuplicateDevice { name: String, device: u32 },
    #[error("request {key} asks for nothing; ask for more than 0 of at least one of: {known}")]
    AsksNothing { key: i64, known: String },
    #[error("request {key} asks for {name}={amount}, but there is no {name}; there is: {known}")]
    UnknownResource { key: i64, name: String, amount: f64, known: String },
    #[error("request {key} can never be granted: it asks for {name}={amount} and the capacity is {capacity}; lower the request or raise the capacity")]
    ExceedsCapacity { key: i64, name: String, amount: f64, capacity: f64 },
    #[error("request {key} asks for {name}={amount}, which is neither a fraction of one device nor whole devices; ask for less than 1 or a whole number")]
    NotWhole { key: i64, name: String, amount: f64 },
    #[error("key {key} already waits or holds; release or withdraw it first, or use another key")]
    KeyInUse { key: i64 },
    #[error("key {key} does not wait; only waiting requests can be withdrawn")]
    NotWaiting { key: i64 },
    #[error("key {key} holds nothing; only what was granted and is still held can be released")]
    HoldsNothing { key: i64 },
    #[error("key {key} does not hold {name}; it holds: {held}")]
    NotHeld { key: i64, name: String, held: String },
}

/// Names as a message lists them.
pub(super) fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.is_empty() {
        true => "nothing".to_owned(),
        false => names.join(", "),
    }
}
