//! Tests of `pool`: rules one by one, then properties over random workloads on a virtual clock.

use super::*;
use proptest::prelude::*;

fn asked(amounts: &[(&str, f64)]) -> Vec<(String, f64)> {
    amounts.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect()
}

fn pool(capacity: &[(&str, f64)], gpus: usize) -> Pool {
    Pool::new(&asked(capacity), &[("gpu".to_owned(), (0..gpus as u32).collect())]).unwrap()
}

fn keys(grants: &[Grant]) -> Vec<i64> {
    grants.iter().map(|grant| grant.key).collect()
}

#[test]
fn ten_tenths_fit_one() {
    let mut pool = pool(&[("cpu", 1.0)], 1);
    for key in 0..10 {
        assert_eq!(keys(&pool.submit(key, &asked(&[("cpu", 0.1), ("gpu", 0.1)])).unwrap()), [key]);
    }
    assert_eq!(pool.free().values().sum::<u64>(), 0);
    assert!(pool.submit(10, &asked(&[("cpu", 0.000001)])).unwrap().is_empty());
}

#[test]
fn a_share_goes_to_the_fullest_device_that_fits() {
    let mut pool = pool(&[], 3);
    let mut device = |key, amount| pool.submit(key, &asked(&[("gpu", amount)])).unwrap()[0].devices["gpu"].clone();
    assert_eq!(device(0, 0.5), [0]);
    assert_eq!(device(1, 0.6), [1]);
    assert_eq!(device(2, 0.4), [1]);
    assert_eq!(device(3, 0.5), [0]);
    assert_eq!(device(4, 1.0), [2]);
}

#[test]
fn what_the_head_may_need_is_not_lent() {
    let mut pool = pool(&[("cpu", 4.0)], 4);
    pool.submit(0, &asked(&[("gpu", 2.0)])).unwrap();
    assert!(pool.submit(1, &asked(&[("gpu", 3.0)])).unwrap().is_empty());
    assert!(pool.submit(2, &asked(&[("gpu", 2.0)])).unwrap().is_empty());
    assert_eq!(keys(&pool.submit(3, &asked(&[("gpu", 1.0)])).unwrap()), [3]); // 4 - 3: the head never needs it
    assert!(pool.submit(4, &asked(&[("gpu", 0.1)])).unwrap().is_empty());
    assert_eq!(keys(&pool.submit(5, &asked(&[("cpu", 4.0)])).unwrap()), [5]); // the head needs no cpu
    assert_eq!(keys(&pool.release(0, None).unwrap()), [1]);
    assert_eq!(keys(&pool.release(3, None).unwrap()), [4]); // 2 needs two devices, of which one is lent to nobody
}

#[test]
fn a_share_is_lent_where_the_head_cannot_use_it() {
    let mut pool = pool(&[], 2);
    pool.submit(0, &asked(&[("gpu", 0.5)])).unwrap();
    pool.submit(1, &asked(&[("gpu", 1.0)])).unwrap();
    assert!(pool.submit(2, &asked(&[("gpu", 1.0)])).unwrap().is_empty());
    assert!(pool.submit(3, &asked(&[("gpu", 0.5)])).unwrap().is_empty()); // would keep device 0 from the head
    assert_eq!(keys(&pool.release(1, None).unwrap()), [2, 3]); // now 3 is the head
}

#[test]
fn names_are_released_one_by_one() {
    let mut pool = pool(&[("cpu", 2.0)], 1);
    pool.submit(0, &asked(&[("cpu", 1.0), ("gpu", 1.0)])).unwrap();
    assert!(pool.submit(1, &asked(&[("cpu", 1.0), ("gpu", 1.0)])).unwrap().is_empty());
    assert_eq!(keys(&pool.release(0, Some(&["gpu".to_owned()])).unwrap()), [1]);
    assert_eq!(pool.holding(), [0, 1]);
    assert!(matches!(pool.release(0, Some(&["gpu".to_owned()])), Err(PoolError::NotHeld { .. })));
    pool.release(0, None).unwrap();
    assert_eq!(pool.holding(), [1]);
}

#[test]
fn too_many_sums_lend_nothing() {
    let parts: Vec<u64> = (0..40).map(|power| 1 << power).collect();
    assert_eq!(least_sum(&parts, (1 << 39) + 12_345), Some((1 << 39) + 12_345));
    assert_eq!(least_sum(&[3, 5, 9], 7), Some(8));
    assert_eq!(least_sum(&[3, 5], 9), None);
    assert_eq!(least_sum(&[], 0), Some(0));
}

/// A request: tenths of cpu, tenths of a gpu or whole gpus, how long each is held.
#[derive(Debug, Clone)]
struct Work {
    arrives: u32,
    request: Vec<(String, f64)>,
    held: u32,
    gpu_held: u32,
}

fn work() -> impl Strategy<Value = Work> {
    let gpus = prop_oneof![Just(0.0), (1..10u32).prop_map(|tenths| f64::from(tenths) / 10.0), (1..5u32).prop_map(f64::from)];
    (0..40u32, 1..40u32, gpus, 1..20u32, 1..20u32).prop_map(|(arrives, tenths, gpus, held, gpu_held)| Work {
        arrives,
        request: asked(&[("cpu", f64::from(tenths) / 10.0), ("gpu", gpus)]),
        held: held.max(gpu_held),
        gpu_held,
    })
}

/// The pool on a virtual clock, with what will be released when.
#[derive(Clone)]
struct Simulation {
    pool: Pool,
    releases: BTreeSet<(u32, i64, String)>,
    started: BTreeMap<i64, u32>,
}

impl Simulation {
    fn new() -> Self {
        Self { pool: pool(&[("cpu", 4.0)], 4), releases: BTreeSet::new(), started: BTreeMap::new() }
    }

    fn start(&mut self, now: u32, works: &[Work], grants: Vec<Grant>) {
        for grant in grants {
            let work = &works[grant.key as usize];
            for name in grant.amounts.into_keys() {
                let held = if name == "gpu" { work.gpu_held } else { work.held };
                self.releases.insert((now + held, grant.key, name));
            }
            self.started.insert(grant.key, now);
        }
        self.check(works);
    }

    fn release_next(&mut self, works: &[Work]) {
        let (at, key, name) = self.releases.pop_first().unwrap();
        let grants = self.pool.release(key, Some(&[name])).unwrap();
        self.start(at, works, grants);
    }

    /// Holdings lie within the slots, are what was asked for, and with what is free make up the capacity.
    fn check(&self, works: &[Work]) {
        for (name, resource) in &self.pool.resources {
            let mut used = vec![0; resource.slots.len()];
            for (key, held) in &resource.held {
                held.slots.iter().for_each(|&slot| used[slot] += held.amount);
                let asked = works[*key as usize].request.iter().find(|(other, _)| other == name).unwrap().1;
                assert_eq!(held.amount * held.slots.len() as u64, (asked * 1e6).round() as u64);
            }
            for (slot, used) in resource.slots.iter().zip(used) {
                assert_eq!(slot.free + used, slot.size);
            }
        }
    }

    /// When `key`, which waits, starts if from now on nobody is behind it.
    fn start_alone(mut self, key: i64, works: &[Work]) -> u32 {
        for other in self.pool.waiting().into_iter().skip_while(|other| *other != key).skip(1) {
            assert!(self.pool.withdraw(other).unwrap().is_empty());
        }
        while !self.started.contains_key(&key) {
            self.release_next(works);
        }
        self.started[&key]
    }
}

/// Start times by key, and for each that was once the head the start it would have had with nobody behind it.
fn run(works: &[Work]) -> (BTreeMap<i64, u32>, BTreeMap<i64, u32>) {
    let mut simulation = Simulation::new();
    let mut promised = BTreeMap::new();
    let mut arrivals: Vec<(u32, usize)> = works.iter().enumerate().map(|(at, work)| (work.arrives, at)).collect();
    arrivals.sort_unstable_by(|one, other| other.cmp(one));
    loop {
        let before = simulation.clone();
        let next_release = simulation.releases.first().map(|(at, ..)| *at);
        match arrivals.last().copied() {
            Some((now, at)) if next_release.is_none_or(|release| now < release) => {
                arrivals.pop();
                let grants = simulation.pool.submit(at as i64, &works[at].request).unwrap();
                simulation.start(now, works, grants);
            }
            _ if next_release.is_some() => simulation.release_next(works),
            _ => break,
        }
        if let Some(&head) = simulation.pool.waiting().first() {
            let queued = if before.pool.waiting().contains(&head) { before } else { simulation.clone() };
            promised.entry(head).or_insert_with(|| queued.start_alone(head, works));
        }
    }
    assert!(simulation.pool.waiting().is_empty() && simulation.pool.holding().is_empty());
    (simulation.started, promised)
}

proptest! {
    #[test]
    fn the_head_starts_as_early_as_with_nobody_behind_it(works in prop::collection::vec(work(), 1..40)) {
        let (started, promised) = run(&works);
        prop_assert_eq!(started.len(), works.len());
        for (head, at) in promised {
            prop_assert_eq!(started[&head], at, "head {}", head);
        }
    }

    #[test]
    fn the_same_calls_give_the_same_grants(works in prop::collection::vec(work(), 1..20)) {
        prop_assert_eq!(run(&works), run(&works));
    }

    #[test]
    fn any_amounts_are_granted_or_refused(cpu in prop::num::f64::ANY, ask in prop::num::f64::ANY, gpu in prop::num::f64::ANY) {
        if let Ok(mut pool) = Pool::new(&asked(&[("cpu", cpu)]), &[("gpu".to_owned(), vec![3, 1])]) {
            if let Ok(grants) = pool.submit(1, &asked(&[("cpu", ask), ("gpu", gpu)])) {
                prop_assert_eq!(grants.len(), 1);
                prop_assert!(pool.free().values().all(|free| *free <= (MAX_AMOUNT as u64) * UNIT));
            }
        }
    }
}
