//! Amounts as integer millionths, so that a thousand tenths are a hundred to the last digit.

use super::error::PoolError;

/// Millionths in one.
pub const UNIT: u64 = 1_000_000;
/// Largest amount: sums of amounts within a capacity stay far below what 64 bits hold.
pub const MAX_AMOUNT: f64 = 1e12;

/// An amount of `name` in millionths. Refused if it is negative, not finite, too large, or rounds to nothing without being 0.
pub(super) fn millionths(name: &str, amount: f64) -> Result<u64, PoolError> {
    if !(0.0..=MAX_AMOUNT).contains(&amount) {
        return Err(PoolError::BadAmount { name: name.to_owned(), amount });
    }
    let rounded = (amount * UNIT as f64).round();
    if rounded == 0.0 && amount > 0.0 {
        return Err(PoolError::TooSmall { name: name.to_owned(), amount });
    }
    Ok(rounded as u64)
}

/// Millionths as the number they stand for.
pub fn as_float(millionths: u64) -> f64 {
    millionths as f64 / UNIT as f64
}
