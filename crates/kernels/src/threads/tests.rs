use super::*;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

/// Runs a region and says how often each chunk was called.
fn count(pool: &Pool, chunks: usize) -> Vec<usize> {
    let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
    pool.run(chunks, &|chunk| {
        calls[chunk].fetch_add(1, Ordering::Relaxed);
    });
    calls.into_iter().map(AtomicUsize::into_inner).collect()
}

#[test]
fn every_chunk_is_called_once() {
    for threads in [1, 2, 3, 7] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads);
        for chunks in [0, 1, 2, 3, 16, 1000, 200_000] {
            assert_eq!(count(&pool, chunks), vec![1; chunks], "{threads} threads");
        }
    }
}

#[test]
fn regions_follow_each_other_while_other_threads_keep_the_cores_busy() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let pool = Pool::new(4);
        let (start, mut regions) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(700) {
            let chunks = 2 + regions % 37;
            let sum = AtomicUsize::new(0);
            pool.run(chunks, &|chunk| {
                sum.fetch_add(chunk + 1, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), chunks * (chunks + 1) / 2, "region {regions}");
            regions += 1;
        }
        stop.store(true, Ordering::Relaxed);
        assert!(regions > 10, "{regions} regions");
    });
}

#[test]
fn a_pool_that_fell_asleep_wakes_up() {
    let pool = Pool::new(3);
    for _ in 0..8 {
        std::thread::sleep(Duration::from_millis(3));
        assert_eq!(count(&pool, 9), [1; 9]);
    }
}

#[test]
fn a_caller_that_fell_asleep_over_a_long_chunk_wakes_up() {
    let pool = Pool::new(2);
    for _ in 0..6 {
        // Whichever thread takes the second chunk, the other waits for it.
        pool.run(2, &|chunk| std::thread::sleep(Duration::from_millis(3 * chunk as u64)));
    }
    assert_eq!(count(&pool, 5), [1; 5]);
}

#[test]
fn a_panic_reaches_the_caller_after_all_other_chunks_ran_and_the_pool_survives() {
    let pool = Pool::new(3);
    for bad in [0, 5, 11] {
        let ran = AtomicUsize::new(0);
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.run(12, &|chunk| {
                assert!(chunk != bad, "chunk {bad} is bad");
                ran.fetch_add(1, Ordering::Relaxed);
            });
        }));
        let message = result.expect_err("the panic is passed on");
        assert_eq!(message.downcast_ref::<String>(), Some(&format!("chunk {bad} is bad")));
        assert_eq!(ran.into_inner(), 11);
        assert_eq!(count(&pool, 12), [1; 12]);
    }
}

#[test]
fn a_region_inside_a_chunk_runs_where_it_is() {
    let (pool, other) = (Pool::new(3), Pool::new(2));
    let calls = AtomicUsize::new(0);
    pool.run(6, &|_| {
        let thread = std::thread::current().id();
        for pool in [&pool, &other] {
            pool.run(5, &|_| {
                assert_eq!(std::thread::current().id(), thread);
                calls.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(calls.into_inner(), 60);
}

#[test]
fn callers_on_several_threads_take_turns() {
    let pool = Pool::new(3);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| assert_eq!(count(&pool, 10), [1; 10])));
        }
    });
}

#[test]
fn rows_are_handed_out_whole_and_once() {
    let pool = Pool::new(3);
    for (rows, row_len) in [(0, 5), (7, 3), (90, 1000), (3, 50_000), (40_000, 1)] {
        let mut data = vec![0; rows * row_len];
        pool.run_rows(&mut data, row_len, &|first, part| {
            assert!(part.len().is_multiple_of(row_len));
            for (row, numbers) in part.chunks_mut(row_len).enumerate() {
                numbers.iter_mut().for_each(|number| *number += first + row + 1);
            }
        });
        assert!(data.iter().enumerate().all(|(i, &number)| number == i / row_len + 1));
    }
}
