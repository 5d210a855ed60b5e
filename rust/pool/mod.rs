//! Named fractional resources as a deterministic state machine: FIFO with backfill that cannot delay the head.
//!
//! Amounts are integer millionths (`amount`). A resource is a row of slots (`resource`): a plain amount is one slot of that size,
//! a resource with devices has one slot of size 1 for each. A request takes a share of one slot, or whole slots, of each resource
//! that it names, all or nothing.
//!
//! The head is the oldest request that waits. How long holders will hold is unknown, so a later request starts only if in
//! *every* order in which today's holders may release, the head starts as early as it would without that request, even if
//! the request runs for ever (`reservation`). (This is stricter than asking that the head fits once *all* holders have released,
//! as EASY backfilling does with known run times: Mu'alem and Feitelson, 2001, doi:10.1109/71.932708.) What is lent in this way
//! is lent beside the head; it counts as any other holding when another request becomes the head.

mod amount;
mod error;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod reservation;
mod resource;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use amount::millionths;
pub use amount::{as_float, MAX_AMOUNT, UNIT};
use error::listed;
pub use error::PoolError;
use resource::{Held, Need, Resource};

/// Resources granted to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// Key of the request.
    pub key: i64,
    /// What of which resource, by name.
    pub parts: Vec<Part>,
}

/// What is granted of one resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Name of the resource.
    pub name: Arc<str>,
    /// Millionths, over all devices.
    pub amount: u64,
    /// Indices of the devices, where the resource has such.
    pub devices: Option<Vec<u32>>,
}

/// A request that waits: what it needs, by index of the resource.
#[derive(Debug, Clone)]
struct Waiting {
    key: i64,
    needs: Vec<(usize, Need)>,
    /// It asks for the same as the request before it in the queue, as the trials of a campaign mostly do.
    again: bool,
}

/// The pool; every method that changes it returns the grants that follow, oldest request first.
#[derive(Debug, Clone)]
pub struct Pool {
    /// By name.
    resources: Vec<Resource>,
    waiting: VecDeque<Waiting>,
    /// How many of them do not ask for the same as the one before.
    runs: usize,
    /// Grows whenever another request becomes the head.
    turn: u64,
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
            resources.insert(name, Resource::devices(name, indices));
        }
        for (name, amount) in capacity {
            let size = millionths(name, *amount)?;
            let resource = resources.entry(name).or_insert_with(|| Resource::amount(name, size));
            if resource.capacity() != size {
                let devices = resource.slots.len();
                return Err(PoolError::DeviceCount { name: name.clone(), capacity: *amount, devices });
            }
        }
        Ok(Self { resources: resources.into_values().collect(), waiting: VecDeque::new(), runs: 0, turn: 0 })
    }

    /// Queues a request of amounts by name. An amount of 0 is as good as not named.
    pub fn submit(&mut self, key: i64, request: &[(impl AsRef<str>, f64)]) -> Result<Vec<Grant>, PoolError> {
        let needs = self.needs(key, request)?;
        if self.holds(key) || self.waiting.iter().any(|other| other.key == key) {
            return Err(PoolError::KeyInUse { key });
        }
        let again = self.waiting.back().is_some_and(|last| last.needs == needs);
        self.waiting.push_back(Waiting { key, needs, again });
        if again {
            return Ok(Vec::new()); // what the one before waits for
        }
        self.runs += 1;
        Ok(self.grant_from(self.waiting.len() - 1)) // who waited before cannot start because of it
    }

    /// Takes back a waiting request.
    pub fn withdraw(&mut self, key: i64) -> Result<Vec<Grant>, PoolError> {
        let at = self.waiting.iter().position(|other| other.key == key).ok_or(PoolError::NotWaiting { key })?;
        self.leave(at);
        Ok(self.grant_from(0))
    }

    /// Gives back what `key` holds of `names`, or all that it holds.
    pub fn release(&mut self, key: i64, names: Option<&[String]>) -> Result<Vec<Grant>, PoolError> {
        if !self.holds(key) {
            return Err(PoolError::HoldsNothing { key });
        }
        for name in names.unwrap_or_default() {
            if !self.resource(name).is_some_and(|at| self.resources[at].held.contains_key(&key)) {
                let held = self.resources.iter().filter(|resource| resource.held.contains_key(&key));
                return Err(PoolError::NotHeld { key, name: name.clone(), held: listed(held.map(|resource| &*resource.name)) });
            }
        }
        for resource in &mut self.resources {
            if names.is_none_or(|names| names.iter().any(|name| **name == *resource.name)) {
                resource.give_back(key);
            }
        }
        Ok(self.grant_from(0))
    }

    /// Keys that wait, oldest first.
    pub fn waiting(&self) -> Vec<i64> {
        self.waiting.iter().map(|waiting| waiting.key).collect()
    }

    /// Keys that hold something, in ascending order.
    pub fn holding(&self) -> Vec<i64> {
        let keys: BTreeSet<i64> = self.resources.iter().flat_map(|resource| resource.held.keys().copied()).collect();
        keys.into_iter().collect()
    }

    /// Free millionths by name.
    pub fn free(&self) -> BTreeMap<String, u64> {
        self.resources.iter().map(|resource| (resource.name.to_string(), resource.free())).collect()
    }

    fn holds(&self, key: i64) -> bool {
        self.resources.iter().any(|resource| resource.held.contains_key(&key))
    }

    /// Index of the resource of that name.
    fn resource(&self, name: &str) -> Option<usize> {
        self.resources.binary_search_by(|resource| (*resource.name).cmp(name)).ok()
    }

    fn needs(&self, key: i64, request: &[(impl AsRef<str>, f64)]) -> Result<Vec<(usize, Need)>, PoolError> {
        let known = || listed(self.resources.iter().map(|resource| &*resource.name));
        let mut needs = Vec::with_capacity(request.len());
        for (name, amount) in request {
            let (name, amount) = (name.as_ref(), *amount);
            let millionths = millionths(name, amount)?;
            if millionths == 0 {
                continue;
            }
            let named = || name.to_owned();
            let Some(at) = self.resource(name) else {
                return Err(PoolError::UnknownResource { key, name: named(), amount, known: known() });
            };
            let resource = &self.resources[at];
            if millionths > resource.capacity() {
                let capacity = as_float(resource.capacity());
                return Err(PoolError::ExceedsCapacity { key, name: named(), amount, capacity });
            }
            let need = if resource.devices.is_none() || millionths < UNIT {
                Need::Share(millionths)
            } else if millionths.is_multiple_of(UNIT) {
                Need::Whole((millionths / UNIT) as usize) // at most the number of devices
            } else {
                return Err(PoolError::NotWhole { key, name: named(), amount });
            };
            needs.retain(|(other, _)| *other != at); // the last of a name counts
            needs.push((at, need));
        }
        if needs.is_empty() {
            return Err(PoolError::AsksNothing { key, known: known() });
        }
        needs.sort_unstable_by_key(|(at, _)| *at);
        Ok(needs)
    }

    /// Grants what can be granted to the requests from position `start` of the queue on.
    fn grant_from(&mut self, start: usize) -> Vec<Grant> {
        let mut grants = Vec::new();
        let mut refused: Vec<usize> = Vec::new(); // what asks for the same as one of these would be refused again
        let (mut at, mut runs, mut waits) = (start, 0, false);
        while let Some(Waiting { needs, again, .. }) = self.waiting.get(at).filter(|_| !waits || runs < self.runs) {
            waits = waits && *again
                || !needs.iter().all(|(resource, need)| self.resources[*resource].fits(*need))
                || refused.iter().any(|&other| self.waiting[other].needs == *needs);
            let placed = if waits { None } else { self.place(at) };
            match placed {
                Some(placed) => {
                    grants.extend(self.leave(at).map(|waiting| self.hold(waiting, placed)));
                    refused.clear();
                }
                None => {
                    if !waits {
                        refused.push(at);
                    }
                    runs += usize::from(!self.waiting[at].again);
                    (at, waits) = (at + 1, true);
                }
            }
        }
        grants
    }

    /// Takes a request from the queue.
    fn leave(&mut self, at: usize) -> Option<Waiting> {
        let gone = self.waiting.remove(at)?;
        match self.waiting.get_mut(at) {
            Some(next) if next.again => next.again = gone.again,
            _ => self.runs -= usize::from(!gone.again),
        }
        self.turn += u64::from(at == 0);
        Some(gone)
    }

    /// What the request at position `at` of the queue would hold if it started now, if it can.
    fn place(&self, at: usize) -> Option<Vec<Held>> {
        let head = if at > 0 { self.waiting.front() } else { None };
        let place = |(resource, need): &(usize, Need)| {
            let beside = head.map(|head| {
                let reserved = head.needs.iter().find(|(other, _)| other == resource).map(|(_, need)| *need);
                (reserved, self.turn)
            });
            self.resources[*resource].place(*need, beside)
        };
        self.waiting[at].needs.iter().map(place).collect()
    }

    fn hold(&mut self, Waiting { key, needs, .. }: Waiting, placed: Vec<Held>) -> Grant {
        let mut parts = Vec::with_capacity(needs.len());
        for ((resource, _), held) in needs.into_iter().zip(placed) {
            let resource = &mut self.resources[resource];
            let devices = resource.devices.as_ref().map(|devices| held.slots.iter().map(|&slot| devices[slot]).collect());
            let amount = held.amount * held.slots.len() as u64;
            parts.push(Part { name: resource.name.clone(), amount, devices });
            resource.hold(key, held);
        }
        Grant { key, parts }
    }
}

#[cfg(test)]
mod tests;
