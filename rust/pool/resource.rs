//! One resource: its slots, who holds what of them, and where a request would be placed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::amount::UNIT;
use super::reservation::delays;

/// What a request needs of a resource: a share of one slot, or a number of whole slots.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Need {
    Share(u64),
    Whole(usize),
}

/// What a key holds of a resource: `amount` of each of `slots`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub slots: Vec<usize>,
    pub amount: u64,
    /// The turn of the head beside which it was lent; none if it was the head itself.
    pub beside: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub size: u64,
    pub free: u64,
}

/// A row of slots: one for a plain amount, one of size 1 for each device.
#[derive(Debug, Clone)]
pub(super) struct Resource {
    pub name: Arc<str>,
    pub slots: Vec<Slot>,
    pub devices: Option<Vec<u32>>,
    pub held: BTreeMap<i64, Held>,
    /// The most that is free of one slot.
    most: u64,
    /// How many slots nobody holds anything of.
    whole: usize,
}

impl Resource {
    pub fn amount(name: &str, size: u64) -> Self {
        Self::new(name, vec![Slot { size, free: size }], None)
    }

    pub fn devices(name: &str, indices: &[u32]) -> Self {
        Self::new(name, vec![Slot { size: UNIT, free: UNIT }; indices.len()], Some(indices.to_vec()))
    }

    fn new(name: &str, slots: Vec<Slot>, devices: Option<Vec<u32>>) -> Self {
        let mut made = Self { name: name.into(), slots, devices, held: BTreeMap::new(), most: 0, whole: 0 };
        made.count();
        made
    }

    pub fn capacity(&self) -> u64 {
        self.slots.iter().map(|slot| slot.size).sum()
    }

    pub fn free(&self) -> u64 {
        self.slots.iter().map(|slot| slot.free).sum()
    }

    pub fn is_whole(&self, slot: usize) -> bool {
        self.slots[slot].free == self.slots[slot].size
    }

    /// How many slots nobody holds anything of.
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// Whether a request could be placed if there were no head.
    pub fn fits(&self, need: Need) -> bool {
        match need {
            Need::Share(amount) => amount <= self.most,
            Need::Whole(count) => count <= self.whole,
        }
    }

    /// The slots to take: of those that fit a share the fullest, of whole ones the first. Beside a head (what it needs of this
    /// resource, and its turn) only without delaying it.
    pub fn place(&self, need: Need, beside: Option<(Option<Need>, u64)>) -> Option<Held> {
        let turn = beside.map(|(_, turn)| turn);
        let harmless = |held: &Held| match beside {
            Some((Some(head), turn)) => !delays(self, head, turn, held),
            _ => true,
        };
        match need {
            Need::Share(amount) => {
                let free = |slot: usize| self.slots[slot].free;
                let mut fitting: Vec<usize> = (0..self.slots.len()).filter(|&slot| free(slot) >= amount).collect();
                fitting.sort_by_key(|&slot| free(slot));
                fitting.into_iter().map(|slot| Held { slots: vec![slot], amount, beside: turn }).find(harmless)
            }
            Need::Whole(count) => {
                let slots: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.is_whole(slot)).take(count).collect();
                let enough = slots.len() == count;
                Some(Held { slots, amount: UNIT, beside: turn }).filter(|held| enough && harmless(held))
            }
        }
    }

    pub fn hold(&mut self, key: i64, held: Held) {
        for &slot in &held.slots {
            self.slots[slot].free -= held.amount;
        }
        self.held.insert(key, held);
        self.count();
    }

    pub fn give_back(&mut self, key: i64) {
        let Some(held) = self.held.remove(&key) else { return };
        for slot in held.slots {
            self.slots[slot].free += held.amount;
        }
        self.count();
    }

    fn count(&mut self) {
        self.most = self.slots.iter().map(|slot| slot.free).max().unwrap_or(0);
        self.whole = self.slots.iter().filter(|slot| slot.free == slot.size).count();
    }
}
