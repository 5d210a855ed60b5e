//! Tests of `pool`: rules one by one, then properties over random workloads on a virtual clock.

use super::reservation::least_sum;
use super::*;
use crate::checking::holds;
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
    let mut device = |key, amount| pool.submit(key, &asked(&[("gpu", amount)])).unwrap()[0].parts[0].devices.clone().unwrap();
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

#[test]
fn a_thousand_tenths_leave_nothing_over() {
    let mut pool = pool(&[("cpu", 100.0)], 0);
    for key in 0..1000 {
        assert_eq!(keys(&pool.submit(key, &asked(&[("cpu", 0.1)])).unwrap()), [key]);
    }
    assert_eq!(pool.free()["cpu"], 0);
    (0..1000).for_each(|key| assert!(pool.release(key, None).unwrap().is_empty()));
    assert_eq!(pool.free()["cpu"], 100 * UNIT);
    assert_eq!(pool.submit(0, &asked(&[("cpu", 100.0)])).unwrap()[0].parts[0].amount, 100 * UNIT);
}

#[test]
fn refusals_name_what_is_wrong() {
    let mut pool = pool(&[("cpu", 4.0)], 2);
    let refused = |made: Result<Vec<Grant>, PoolError>| made.unwrap_err().to_string();
    for (amount, shown) in [(-1.0, "cpu=-1 "), (f64::NAN, "cpu=NaN "), (f64::INFINITY, "cpu=inf "), (5.0, "cpu=5 ")] {
        assert!(refused(pool.submit(7, &[("cpu", amount)])).contains(shown));
    }
    assert!(
        refused(pool.submit(7, &[("tpu", 1.0)])).contains("request 7 asks for tpu=1, but there is no tpu; there is: cpu, gpu")
    );
    pool.submit(7, &[("cpu", 1.0)]).unwrap();
    pool.release(7, None).unwrap();
    assert!(refused(pool.release(7, None)).contains("key 7 holds nothing"));
}

#[test]
fn the_pool_agrees_with_brute_force() {
    holds(prop::collection::vec(any::<u8>(), 2..160), |bytes| properties::agrees_with_brute_force(&bytes));
}

#[test]
fn the_pool_agrees_with_brute_force_where_most_ask_for_the_same() {
    let call = (any::<u8>(), any::<u8>(), prop::sample::select(vec![0_u8, 7]), prop::sample::select(vec![3_u8, 7, 8]));
    holds((1..5_u8, prop::collection::vec(call, 1..60)), |(gpus, calls)| {
        let calls = calls.into_iter().flat_map(|(what, key, cpu, gpu)| [what, key, cpu, gpu]);
        properties::agrees_with_brute_force(&[gpus, 40].into_iter().chain(calls).collect::<Vec<u8>>());
    });
}

#[test]
fn who_asks_for_the_same_waits_and_starts_in_turn() {
    let mut pool = pool(&[("cpu", 2.0)], 0);
    let mut submit = |key, amount| keys(&pool.submit(key, &[("cpu", amount)]).unwrap());
    assert_eq!(
        [submit(0, 2.0), submit(1, 1.0), submit(2, 1.0), submit(3, 2.0), submit(4, 1.0)],
        [vec![0], vec![], vec![], vec![], vec![]]
    );
    assert!(pool.withdraw(1).unwrap().is_empty());
    assert!(pool.withdraw(3).unwrap().is_empty());
    assert!(pool.submit(5, &[("cpu", 1.0)]).unwrap().is_empty());
    assert_eq!(keys(&pool.release(0, None).unwrap()), [2, 4]);
    assert_eq!(keys(&pool.release(2, None).unwrap()), [5]);
}

proptest! {
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
