//! Work for several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work` for each of `all`, on so many threads. Results are in the order of `all`; none of those that were not
/// begun, because `work` gave none, which ends all.
pub fn in_parallel<T: Sync, R: Send>(
    threads: usize,
    all: &[T],
    work: impl Fn(&T) -> Option<R> + Sync,
) -> Vec<Option<R>> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    results.lock().expect("no thread panicked").resize_with(all.len(), || None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(one) = all.get(at) else { return };
                    let result = work(one);
                    if result.is_none() {
                        next.store(all.len(), Ordering::Relaxed);
                    }
                    results.lock().expect("no thread panicked")[at] = result;
                }
            });
        }
    });
    results.into_inner().expect("no thread panicked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_an_end_is_for_all() {
        let all: Vec<u32> = (0..100).collect();
        let doubled = in_parallel(4, &all, |&number| Some(2 * number));
        assert!(doubled.iter().enumerate().all(|(at, result)| *result == Some(2 * at as u32)));
        let ended = in_parallel(1, &all, |&number| (number < 10).then_some(number));
        assert_eq!(ended.iter().flatten().count(), 10);
    }
}
