//! Independent jobs on a given number of threads; results come back in the order of the jobs.

use std::sync::Mutex;

/// Runs `work` on every job. Which thread runs which job is left open, so `work` must not depend on it.
pub(crate) fn run<J: Send, R: Send>(n_threads: usize, jobs: Vec<J>, work: impl Fn(J) -> R + Sync) -> Vec<R> {
    if n_threads <= 1 || jobs.len() <= 1 {
        return jobs.into_iter().map(work).collect();
    }
    let n_workers = n_threads.min(jobs.len());
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                match next {
                    Some((index, job)) => done.push((index, work(job))),
                    None => return done,
                }
            }
        };
        // The caller works too: a thread more than there are cores would wait for one that the caller sits on.
        let handles: Vec<_> = (1..n_workers).map(|_| scope.spawn(worker)).collect();
        let mut results = worker();
        for handle in handles {
            results.extend(handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        results
    });
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_stand_in_job_order() {
        for n_threads in [1, 3, 50] {
            assert_eq!(super::run(n_threads, (0..20).collect(), |x| x * x), (0..20).map(|x| x * x).collect::<Vec<_>>());
        }
        assert!(super::run(4, Vec::<u8>::new(), |x| x).is_empty());
    }
}
