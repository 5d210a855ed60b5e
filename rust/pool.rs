//! Named fractional resources as a deterministic state machine: FIFO with backfill that cannot delay the head.
//!
//! Amounts are integer millionths. A resource is a row of slots: a plain amount is one slot of that size, a resource with
//! devices has one slot of size 1 for each. A request takes a share of one slot, or whole slots.
//!
//! The head is the oldest request that waits. How long holders will hold is unknown, so a later request starts only if in
//! *every* order in which today's holders may release, the head starts as early as it would without that request, even if
//! the request runs for ever. (This is stricter than asking that the head fits once *all* holders have released.) Requests
//! that start in this way are the head's guests; they become ordinary holders when another request becomes the head.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

/// Millionths in one.
pub const UNIT: u64 = 1_000_000;
/// Largest amount: sums of amounts within a capacity stay far below what 64 bits hold.
pub const MAX_AMOUNT: f64 = 1e12;
/// Different sums of holdings looked at for one request; beyond it nothing is lent from that resource.
const MAX_SUMS: usize = 4096;

/// Why a capacity, a request or a release was refused. Nothing was changed.
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

/// Resources granted to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Key of the request.
    pub key: i64,
    /// Millionths by name.
    pub amounts: BTreeMap<String, u64>,
    /// Indices by name, for the names that have devices.
    pub devices: BTreeMap<String, Vec<u32>>,
}

/// What a request needs of one resource.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Need {
    Share(u64),
    Whole(usize),
}

/// What a key holds of one resource: `amount` of each of `slots`.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    slots: Vec<usize>,
    amount: u64,
    guest: bool,
}

#[derive(Debug, Clone)]
struct Slot {
    size: u64,
    free: u64,
}

#[derive(Debug, Clone)]
struct Resource {
    slots: Vec<Slot>,
    devices: Option<Vec<u32>>,
    held: BTreeMap<i64, Held>,
}

/// The pool; every method that changes it returns the grants that follow, oldest request first.
#[derive(Debug, Clone)]
pub struct Pool {
    resources: BTreeMap<String, Resource>,
    waiting: Vec<(i64, BTreeMap<String, Need>)>,
}

impl Pool {
    /// A pool of plain amounts and of named devices; a name in both must have the number of devices as its amount.
    pub fn new(capacity: &[(String, f64)], devices: &[(String, Vec<u32>)]) -> Result<Self, PoolError> {
        let mut resources = BTreeMap::new();
        for (name, indices) in devices {
            let mut seen = BTreeSet::new();
            if let Some(&device) = indices.iter().find(|&&index| !seen.insert(index)) {
                return Err(PoolError::DuplicateDevice { name: name.clone(), device });
            }
            let slots = vec![Slot { size: UNIT, free: UNIT }; indices.len()];
            resources.insert(name.clone(), Resource { slots, devices: Some(indices.clone()), held: BTreeMap::new() });
        }
        for (name, amount) in capacity {
            let size = millionths(name, *amount)?;
            match resources.get(name) {
                Some(resource) if resource.capacity() == size => {}
                Some(resource) => {
                    let devices = resource.slots.len();
                    return Err(PoolError::DeviceCount { name: name.clone(), capacity: *amount, devices });
                }
                None => {
                    let slots = vec![Slot { size, free: size }];
                    resources.insert(name.clone(), Resource { slots, devices: None, held: BTreeMap::new() });
                }
            }
        }
        Ok(Self { resources, waiting: Vec::new() })
    }

    /// Queues a request. Amounts of 0 are as good as not named.
    pub fn submit(&mut self, key: i64, request: &[(String, f64)]) -> Result<Vec<Grant>, PoolError> {
        let needs = self.needs(key, request)?;
        if self.waiting.iter().any(|(other, _)| *other == key) || self.holds(key) {
            return Err(PoolError::KeyInUse { key });
        }
        self.waiting.push((key, needs));
        Ok(self.grant_from(self.waiting.len() - 1)) // who waited before cannot start because of it
    }

    /// Takes back a waiting request.
    pub fn withdraw(&mut self, key: i64) -> Result<Vec<Grant>, PoolError> {
        let at = self.waiting.iter().position(|(other, _)| *other == key).ok_or(PoolError::NotWaiting { key })?;
        self.waiting.remove(at);
        if at == 0 {
            self.change_head();
        }
        Ok(self.grant_from(0))
    }

    /// Gives back what `key` holds of `names`, or all that it holds.
    pub fn release(&mut self, key: i64, names: Option<&[String]>) -> Result<Vec<Grant>, PoolError> {
        if !self.holds(key) {
            return Err(PoolError::HoldsNothing { key });
        }
        for name in names.unwrap_or_default() {
            if !self.resources.get(name).is_some_and(|resource| resource.held.contains_key(&key)) {
                let held = self.resources.iter().filter(|(_, resource)| resource.held.contains_key(&key));
                return Err(PoolError::NotHeld { key, name: name.clone(), held: listed(held.map(|(name, _)| name)) });
            }
        }
        for (name, resource) in &mut self.resources {
            if names.is_none_or(|names| names.contains(name)) {
                resource.give_back(key);
            }
        }
        Ok(self.grant_from(0))
    }

    /// Keys that wait, oldest first.
    pub fn waiting(&self) -> Vec<i64> {
        self.waiting.iter().map(|(key, _)| *key).collect()
    }

    /// Keys that hold something, in ascending order.
    pub fn holding(&self) -> Vec<i64> {
        let keys: BTreeSet<i64> = self.resources.values().flat_map(|resource| resource.held.keys().copied()).collect();
        keys.into_iter().collect()
    }

    /// Free millionths by name.
    pub fn free(&self) -> BTreeMap<String, u64> {
        self.resources.iter().map(|(name, resource)| (name.clone(), resource.free())).collect()
    }

    fn holds(&self, key: i64) -> bool {
        self.resources.values().any(|resource| resource.held.contains_key(&key))
    }

    fn needs(&self, key: i64, request: &[(String, f64)]) -> Result<BTreeMap<String, Need>, PoolError> {
        let mut needs = BTreeMap::new();
        for (name, amount) in request {
            let millionths = millionths(name, *amount)?;
            if millionths == 0 {
                continue;
            }
            let (name, amount) = (name.clone(), *amount);
            let Some(resource) = self.resources.get(&name) else {
                return Err(PoolError::UnknownResource { key, name, amount, known: listed(self.resources.keys()) });
            };
            if millionths > resource.capacity() {
                let capacity = as_float(resource.capacity());
                return Err(PoolError::ExceedsCapacity { key, name, amount, capacity });
            }
            let need = if resource.devices.is_none() || millionths < UNIT {
                Need::Share(millionths)
            } else if millionths.is_multiple_of(UNIT) {
                Need::Whole((millionths / UNIT) as usize) // at most the number of devices
            } else {
                return Err(PoolError::NotWhole { key, name, amount });
            };
            needs.insert(name, need);
        }
        if needs.is_empty() {
            return Err(PoolError::AsksNothing { key, known: listed(self.resources.keys()) });
        }
        Ok(needs)
    }

    /// Grants what can be granted to the requests from position `start` of the queue on.
    fn grant_from(&mut self, start: usize) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut at = start;
        while at < self.waiting.len() {
            let Some(placed) = self.place(at) else {
                at += 1;
                continue;
            };
            let (key, _) = self.waiting.remove(at);
            grants.push(self.hold(key, placed));
            if at == 0 {
                self.change_head();
            }
        }
        grants
    }

    /// Where the request at position `at` of the queue can start now, if it can.
    fn place(&self, at: usize) -> Option<BTreeMap<String, Held>> {
        let head = (at > 0).then(|| &self.waiting[0].1);
        let place = |(name, need): (&String, &Need)| {
            let reserved = head.and_then(|needs| needs.get(name)).copied();
            let held = self.resources.get(name)?.place(*need, reserved, at > 0)?;
            Some((name.clone(), held))
        };
        self.waiting[at].1.iter().map(place).collect()
    }

    fn hold(&mut self, key: i64, placed: BTreeMap<String, Held>) -> Grant {
        let mut grant = Grant { key, amounts: BTreeMap::new(), devices: BTreeMap::new() };
        for (name, held) in placed {
            let Some(resource) = self.resources.get_mut(&name) else { continue };
            grant.amounts.insert(name.clone(), held.amount * held.slots.len() as u64);
            if let Some(devices) = &resource.devices {
                grant.devices.insert(name, held.slots.iter().map(|&slot| devices[slot]).collect());
            }
            for &slot in &held.slots {
                resource.slots[slot].free -= held.amount;
            }
            resource.held.insert(key, held);
        }
        grant
    }

    fn change_head(&mut self) {
        for held in self.resources.values_mut().flat_map(|resource| resource.held.values_mut()) {
            held.guest = false;
        }
    }
}

impl Resource {
    fn capacity(&self) -> u64 {
        self.slots.iter().map(|slot| slot.size).sum()
    }

    fn free(&self) -> u64 {
        self.slots.iter().map(|slot| slot.free).sum()
    }

    fn is_whole(&self, slot: usize) -> bool {
        self.slots[slot].free == self.slots[slot].size
    }

    fn give_back(&mut self, key: i64) {
        if let Some(held) = self.held.remove(&key) {
            for slot in held.slots {
                self.slots[slot].free += held.amount;
            }
        }
    }

    /// The slots to take: of those that fit a share the fullest, of whole ones the first, without delaying the head.
    fn place(&self, need: Need, head: Option<Need>, guest: bool) -> Option<Held> {
        let harmless = |held: &Held| !head.is_some_and(|head| self.delays(head, held));
        match need {
            Need::Share(amount) => {
                let mut fitting: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.slots[slot].free >= amount).collect();
                fitting.sort_by_key(|&slot| self.slots[slot].free);
                fitting.into_iter().map(|slot| Held { slots: vec![slot], amount, guest }).find(harmless)
            }
            Need::Whole(count) => {
                let slots: Vec<usize> = (0..self.slots.len()).filter(|&slot| self.is_whole(slot)).take(count).collect();
                let enough = slots.len() == count;
                Some(Held { slots, amount: UNIT, guest }).filter(|held| enough && harmless(held))
            }
        }
    }

    /// Whether the head could start later in some order of releases if `placed` were held for ever.
    fn delays(&self, head: Need, placed: &Held) -> bool {
        match head {
            Need::Share(need) => self.delays_share(need, placed),
            Need::Whole(count) => self.delays_whole(count as u64, placed),
        }
    }

    fn delays_share(&self, need: u64, placed: &Held) -> bool {
        if self.slots.iter().any(|slot| slot.free >= need) {
            let left = |slot: usize| self.slots[slot].free - if placed.slots.contains(&slot) { placed.amount } else { 0 };
            return !(0..self.slots.len()).any(|slot| left(slot) >= need);
        }
        placed.slots.iter().any(|&slot| {
            let on_slot = self.held.values().filter(|held| !held.guest && held.slots.contains(&slot));
            let amounts: Vec<u64> = on_slot.map(|held| held.amount).collect();
            let missing = need - self.slots[slot].free;
            least_sum(&amounts, missing).is_some_and(|sum| sum - missing < placed.amount)
        })
    }

    fn delays_whole(&self, count: u64, placed: &Held) -> bool {
        let whole = (0..self.slots.len()).filter(|&slot| self.is_whole(slot)).count() as u64;
        let taken = placed.slots.iter().filter(|&&slot| self.is_whole(slot)).count() as u64;
        if whole >= count {
            return whole - taken < count;
        }
        // A shared slot is whole again when all its holders have released, whole slots when their one holder has.
        let mut guests = BTreeSet::new();
        let (mut shared, mut returns) = (BTreeSet::new(), Vec::new());
        for held in self.held.values() {
            match held.guest {
                true => guests.extend(held.slots.iter().copied()),
                false if held.amount == UNIT => returns.push(held.slots.len() as u64),
                false => shared.extend(held.slots.iter().copied()),
            }
        }
        let others = |slot: &&usize| !guests.contains(*slot) && !placed.slots.contains(*slot);
        returns.extend(shared.iter().filter(others).map(|_| 1));
        let missing = count - whole;
        if taken > 0 {
            return least_sum(&returns, missing).is_some_and(|sum| sum - missing < taken);
        }
        let spoils = placed.slots.iter().any(|slot| !guests.contains(slot));
        spoils && least_sum(&returns, missing - 1) == Some(missing - 1)
    }
}

/// The least sum of some of `parts` that reaches `target`; `target` itself if there are too many sums to look at.
fn least_sum(parts: &[u64], target: u64) -> Option<u64> {
    let mut below = BTreeSet::from([0]);
    let mut least = (target == 0).then_some(0);
    for &part in parts {
        let sums: Vec<u64> = below.iter().map(|sum| sum + part).collect();
        for sum in sums {
            if sum < target {
                below.insert(sum);
            } else {
                least = Some(least.map_or(sum, |other| other.min(sum)));
            }
        }
        if below.len() > MAX_SUMS {
            return Some(target);
        }
    }
    least
}

fn millionths(name: &str, amount: f64) -> Result<u64, PoolError> {
    let name = name.to_owned();
    if !(0.0..=MAX_AMOUNT).contains(&amount) {
        return Err(PoolError::BadAmount { name, amount });
    }
    let rounded = (amount * UNIT as f64).round();
    if rounded == 0.0 && amount > 0.0 {
        return Err(PoolError::TooSmall { name, amount });
    }
    Ok(rounded as u64)
}

/// Millionths as the number they stand for.
pub fn as_float(millionths: u64) -> f64 {
    millionths as f64 / UNIT as f64
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
