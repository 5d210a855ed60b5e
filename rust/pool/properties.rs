//! The pool against a model that tries every order of releases by brute force.
//!
//! Stated once, for tests and for the fuzz target. As long as a request is the head: whichever of today's holders release, the head
//! fits then if and only if it would fit with nothing lent beside it. And nothing waits that could be lent so.

use super::{as_float, Grant, Pool, PoolError, UNIT};

const NAMES: [&str; 2] = ["cpu", "gpu"];
const KEYS: u8 = 7;
const AMOUNTS: [f64; 20] = [
    0.0,
    0.1,
    0.2,
    0.3,
    0.5,
    0.7,
    0.9,
    1.0,
    2.0,
    3.0,
    4.0,
    0.25,
    1.0 / 3.0,
    1e-6,
    1e-9,
    1.5,
    -1.0,
    1e13,
    f64::INFINITY,
    f64::NAN,
];

/// What a key holds of slots of one resource.
#[derive(Debug, Clone)]
struct Loan {
    key: i64,
    resource: usize,
    slots: Vec<usize>,
    amount: u64,
    beside: bool,
}

#[derive(Debug, Default)]
struct Model {
    /// Sizes of the slots of each resource.
    sizes: [Vec<u64>; 2],
    queue: Vec<(i64, [u64; 2])>,
    loans: Vec<Loan>,
}

/// Makes the calls that the bytes stand for, and compares the pool with the model after each. The first two are the pool's sizes,
/// then come four for each call: what, key, two amounts.
pub fn agrees_with_brute_force(bytes: &[u8]) {
    let [gpus, tenths, calls @ ..] = bytes else { return };
    let (gpus, tenths) = (usize::from(gpus % 5), u64::from(tenths % 41));
    let devices: Vec<u32> = (0..gpus as u32).rev().collect();
    let (capacity, devices) = ([("cpu".to_owned(), tenths as f64 / 10.0)], [("gpu".to_owned(), devices)]);
    let mut pool = Pool::new(&capacity, &devices).expect("the sizes are sound");
    let mut twin = pool.clone();
    let mut model = Model { sizes: [vec![tenths * UNIT / 10], vec![UNIT; gpus]], ..Model::default() };
    for call in calls.chunks_exact(4) {
        let key = i64::from(call[1] % KEYS);
        let amounts = [call[2], call[3]].map(|byte| AMOUNTS[usize::from(byte) % AMOUNTS.len()]);
        let before = (pool.waiting(), pool.holding(), pool.free());
        let made = model.call(&mut pool, call[0], key, amounts);
        let again = Model::made(&mut twin, call[0], key, amounts);
        assert_eq!(format!("{made:?}"), format!("{again:?}"), "the same calls give the same answers");
        match made {
            Ok(grants) => grants.iter().for_each(|grant| model.take(grant)),
            Err(refused) => {
                let message = refused.to_string();
                let named = message.contains(&format!("key {key} ")) || message.contains(&format!("request {key} "));
                let named = named || ["cpu=", "gpu=", "tpu="].iter().any(|name| message.contains(name));
                assert!(named && (pool.waiting(), pool.holding(), pool.free()) == before, "{message}");
            }
        }
        model.compare(&pool);
        model.check_head();
    }
}

impl Model {
    fn made(pool: &mut Pool, what: u8, key: i64, amounts: [f64; 2]) -> Result<Vec<Grant>, PoolError> {
        match what % 8 {
            0 => pool.withdraw(key),
            1 | 2 => pool.release(key, None),
            3 => pool.release(key, Some(&[NAMES[usize::from(what) / 8 % 2].to_owned()])),
            4 => pool.submit(key, &[("tpu", amounts[0])]),
            _ => pool.submit(key, &[(NAMES[0], amounts[0]), (NAMES[1], amounts[1])]),
        }
    }

    /// Makes a call, says whether it had to be refused, and forgets what it ends.
    fn call(&mut self, pool: &mut Pool, what: u8, key: i64, amounts: [f64; 2]) -> Result<Vec<Grant>, PoolError> {
        let waits = self.queue.iter().position(|(other, _)| *other == key);
        let only = (what % 8 == 3).then_some(usize::from(what) / 8 % 2);
        let ends = |loan: &Loan| loan.key == key && only.is_none_or(|resource| resource == loan.resource);
        let sound = match what % 8 {
            0 => waits.is_some(),
            1..=3 => self.loans.iter().any(ends),
            4 => false,
            _ => waits.is_none() && self.loans.iter().all(|loan| loan.key != key) && self.is_sound(amounts),
        };
        let made = Self::made(pool, what, key, amounts);
        assert_eq!(made.is_ok(), sound, "{made:?}");
        match (what % 8, waits) {
            _ if !sound => {}
            (0, Some(at)) => self.leave(at),
            (1..=3, _) => self.loans.retain(|loan| !ends(loan)),
            _ => self.queue.push((key, amounts.map(|amount| (amount * 1e6).round() as u64))),
        }
        made
    }

    fn is_sound(&self, amounts: [f64; 2]) -> bool {
        let possible = amounts.iter().zip(&self.sizes).all(|(amount, sizes)| {
            let most = as_float(sizes.iter().sum());
            amount.is_finite() && *amount >= 0.0 && *amount <= most && (*amount == 0.0 || *amount > 5e-7)
        });
        possible && amounts.iter().any(|amount| *amount > 0.0) && (amounts[1] < 1.0 || amounts[1].fract() == 0.0)
    }

    /// Takes a request from the queue. What was lent beside the head is lent for itself when another one is the head.
    fn leave(&mut self, at: usize) {
        self.queue.remove(at);
        if at == 0 {
            self.loans.iter_mut().for_each(|loan| loan.beside = false);
        }
    }

    fn take(&mut self, grant: &Grant) {
        let at = self.queue.iter().position(|(key, _)| *key == grant.key).expect("only what waits is granted");
        let asked = self.queue[at].1;
        self.leave(at);
        for (resource, amount) in asked.into_iter().enumerate().filter(|(_, amount)| *amount > 0) {
            let part = grant.parts.iter().find(|part| &*part.name == NAMES[resource]).expect("all or nothing");
            let count = self.sizes[resource].len() as u32;
            let slots: Vec<usize> = match &part.devices {
                Some(devices) => devices.iter().map(|device| (count - 1 - device) as usize).collect(),
                None => vec![0],
            };
            assert_eq!((part.amount, part.devices.is_some()), (amount, resource == 1));
            let each = amount / slots.len() as u64;
            self.loans.push(Loan { key: grant.key, resource, slots, amount: each, beside: at > 0 });
        }
        assert_eq!(grant.parts.len(), asked.iter().filter(|amount| **amount > 0).count());
    }

    fn compare(&self, pool: &Pool) {
        let mut holding: Vec<i64> = self.loans.iter().map(|loan| loan.key).collect();
        holding.sort_unstable();
        holding.dedup();
        assert_eq!((pool.waiting(), pool.holding()), (self.queue.iter().map(|(key, _)| *key).collect(), holding));
        for (resource, name) in NAMES.iter().enumerate() {
            let free = self.left(resource, &self.loans.iter().collect::<Vec<_>>()).expect("no slot is lent twice");
            assert_eq!(pool.free()[*name], free.iter().sum::<u64>());
        }
    }

    /// What is left of the slots of a resource beside loans; none if they are more than there is.
    fn left(&self, resource: usize, loans: &[&Loan]) -> Option<Vec<u64>> {
        let mut left = self.sizes[resource].clone();
        for loan in loans.iter().filter(|loan| loan.resource == resource) {
            for &slot in &loan.slots {
                left[slot] = left[slot].checked_sub(loan.amount)?;
            }
        }
        Some(left)
    }

    fn fits(&self, resource: usize, need: u64, loans: &[&Loan]) -> bool {
        let Some(left) = self.left(resource, loans) else { return false };
        match need {
            0 => true,
            _ if resource == 1 && need >= UNIT => left.iter().filter(|free| **free == UNIT).count() as u64 >= need / UNIT,
            _ => left.iter().any(|free| *free >= need),
        }
    }

    fn check_head(&self) {
        let Some(((_, head), behind)) = self.queue.split_first() else { return };
        let all: Vec<&Loan> = self.loans.iter().collect();
        assert!((0..2).any(|resource| !self.fits(resource, head[resource], &all)), "the head waits for nothing");
        assert!((0..2).all(|resource| !self.delays(resource, head[resource], None)), "the head could be delayed");
        for (key, needs) in behind {
            let lendable = (0..2).all(|resource| {
                self.placements(resource, needs[resource]).any(|loan| !self.delays(resource, head[resource], Some(&loan)))
            });
            assert!(!lendable, "{key} waits and could be lent");
        }
    }

    /// Whether for some set of holders that release, the head fits without what is lent beside it and does not fit with it.
    fn delays(&self, resource: usize, head: u64, more: Option<&Loan>) -> bool {
        let here = || self.loans.iter().filter(|loan| loan.resource == resource);
        let holders: Vec<&Loan> = here().filter(|loan| !loan.beside).collect();
        (0..1_u32 << holders.len()).any(|released| {
            let mut left: Vec<&Loan> =
                holders.iter().enumerate().filter(|(at, _)| released >> at & 1 == 0).map(|(_, loan)| *loan).collect();
            let without = self.fits(resource, head, &left);
            left.extend(here().filter(|loan| loan.beside).chain(more));
            without != self.fits(resource, head, &left)
        })
    }

    /// Where an amount could be lent now. Whole devices are all alike.
    fn placements(&self, resource: usize, amount: u64) -> impl Iterator<Item = Loan> {
        let all: Vec<&Loan> = self.loans.iter().collect();
        let left = self.left(resource, &all).unwrap_or_default();
        let loan = move |slots: Vec<usize>, amount| Loan { key: -1, resource, slots, amount, beside: true };
        let made: Vec<Loan> = match amount {
            0 => vec![loan(vec![], 0)],
            _ if resource == 1 && amount >= UNIT => {
                let whole: Vec<usize> = (0..left.len()).filter(|slot| left[*slot] == UNIT).collect();
                whole.get(..(amount / UNIT) as usize).map(|slots| loan(slots.to_vec(), UNIT)).into_iter().collect()
            }
            _ => (0..left.len()).filter(|slot| left[*slot] >= amount).map(|slot| loan(vec![slot], amount)).collect(),
        };
        made.into_iter()
    }
}
