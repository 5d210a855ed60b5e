//! Whether what is lent beside the head could delay it: in some order in which today's holders release, for ever so long a loan.

use std::collections::BTreeSet;

use super::amount::UNIT;
use super::resource::{Held, Need, Resource};

/// Different sums of holdings looked at for one request; beyond it nothing is lent from that resource.
const MAX_SUMS: usize = 4096;

/// Whether the head of this turn could start later in some order of releases if `placed` were held for ever.
pub(super) fn delays(resource: &Resource, head: Need, turn: u64, placed: &Held) -> bool {
    match head {
        Need::Share(need) => delays_share(resource, need, turn, placed),
        Need::Whole(count) => delays_whole(resource, count as u64, turn, placed),
    }
}

fn delays_share(resource: &Resource, need: u64, turn: u64, placed: &Held) -> bool {
    let slots = &resource.slots;
    if slots.iter().any(|slot| slot.free >= need) {
        let left = |slot: usize| slots[slot].free - if placed.slots.contains(&slot) { placed.amount } else { 0 };
        return !(0..slots.len()).any(|slot| left(slot) >= need);
    }
    placed.slots.iter().any(|&slot| {
        let on_slot = resource.held.values().filter(|held| held.beside != Some(turn) && held.slots.contains(&slot));
        let amounts: Vec<u64> = on_slot.map(|held| held.amount).collect();
        let missing = need - slots[slot].free;
        least_sum(&amounts, missing).is_some_and(|sum| sum - missing < placed.amount)
    })
}

fn delays_whole(resource: &Resource, count: u64, turn: u64, placed: &Held) -> bool {
    let whole = resource.whole() as u64;
    let taken = placed.slots.iter().filter(|&&slot| resource.is_whole(slot)).count() as u64;
    if whole >= count {
        return whole - taken < count;
    }
    // A shared slot is whole again when all its holders have released, whole slots when their one holder has.
    let mut lent = vec![false; resource.slots.len()];
    let mut shared = lent.clone();
    let mut returns = Vec::new();
    for held in resource.held.values() {
        match (held.beside == Some(turn), held.amount == UNIT) {
            (true, _) => held.slots.iter().for_each(|&slot| lent[slot] = true),
            (false, true) => returns.push(held.slots.len() as u64),
            (false, false) => held.slots.iter().for_each(|&slot| shared[slot] = true),
        }
    }
    let others = (0..lent.len()).filter(|slot| shared[*slot] && !lent[*slot] && !placed.slots.contains(slot));
    returns.extend(others.map(|_| 1));
    let missing = count - whole;
    if taken > 0 {
        return least_sum(&returns, missing).is_some_and(|sum| sum - missing < taken);
    }
    let spoils = placed.slots.iter().any(|&slot| !lent[slot]);
    spoils && least_sum(&returns, missing - 1) == Some(missing - 1)
}

/// The least sum of some of `parts` that reaches `target`; `target` itself if there are too many sums to look at.
pub(super) fn least_sum(parts: &[u64], target: u64) -> Option<u64> {
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
