//! Pairs of submit and release: alone, with 100 that wait and take turns, and lent beside 100 that wait for more.

use _core::pool::Pool;

use crate::clock;

const WAITING: i64 = 100;
const PAIR: [(&str, f64); 2] = [("cpu", 1.0), ("gpu", 1.0)];

pub fn measure() {
    let (mut pool, mut key) = (empty(), 0);
    clock::measure("pool: submit and release one of 8 devices", || {
        key += 1;
        (pool.submit(key, &PAIR), pool.release(key, None))
    });
    let (mut pool, mut key) = (empty(), 0);
    for _ in 0..8 + WAITING {
        key += 1;
        pool.submit(key, &PAIR).expect("the request is sound");
    }
    clock::measure("pool: the same, 100 wait and take turns", || {
        key += 1;
        (pool.submit(key, &PAIR), pool.release(key - WAITING - 8, None))
    });
    let (mut pool, mut key) = (empty(), WAITING + 1);
    pool.submit(0, &[("gpu", 4.0)]).expect("the request is sound");
    for waits in 1..=WAITING {
        pool.submit(waits, &[("gpu", 7.0)]).expect("the request is sound");
    }
    clock::measure("pool: the same, lent beside 100 that wait for 7 devices", || {
        key += 1;
        (pool.submit(key, &PAIR), pool.release(key, None))
    });
}

fn empty() -> Pool {
    Pool::new(&[("cpu".to_owned(), 8.0)], &[("gpu".to_owned(), (0..8).collect())]).expect("the capacity is sound")
}
