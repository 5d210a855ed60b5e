//! The work that placing may make.

/// Most work on a file of up to `WORK_LINES` lines, about nanoseconds: keeps the worst case near 50 ms. Longer files get more.
const MAX_WORK: usize = 30_000_000;
const WORK_LINES: usize = 5_000;

/// What is left of the work that a patch may make in one file.
pub(super) struct Work(usize);

/// There is more work than is allowed.
pub(super) struct Costly;

impl Work {
    /// The work allowed on a file of so many lines.
    pub fn allowed(lines: usize) -> Self {
        Self(MAX_WORK * lines.max(WORK_LINES) / WORK_LINES)
    }

    pub fn spend(&mut self, amount: usize) -> Result<(), Costly> {
        self.0 = self.0.checked_sub(amount).ok_or(Costly)?;
        Ok(())
    }
}
