//! How far is the histogram kernel from what memory and processor can do at most?
//!
//! `roofline [ROWS]` (default 2,000,000 rows of 40 features) prints, each as the best of ten passes on one thread and on all:
//!
//! - `read`: reading memory in order, the bound from bandwidth;
//! - `add`: one addition to a bin in the nearest cache per step, nothing else, the bound from the processor;
//! - `histogram`: the kernel over all rows, over every 10th and over every 100th row, as drawn rows lie in a tree.
#![allow(clippy::print_stdout, reason = "the program's output")]

use std::hint::black_box;
use std::time::Instant;

use orderguard_trainer::roofline::HistogramPass;
use rayon::prelude::*;

const FEATURES: usize = 40;

fn best(mut pass: impl FnMut()) -> f64 {
    let time = |pass: &mut dyn FnMut()| {
        let start = Instant::now();
        pass();
        start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| time(&mut pass)).fold(f64::INFINITY, f64::min)
}

/// GB/s of reading `words` in order.
fn read(words: &[u64]) -> f64 {
    let sum = |part: &[u64]| part.iter().fold(0_u64, |sum, &word| sum.wrapping_add(word));
    let part = words.len().div_ceil(rayon::current_num_threads());
    let seconds = best(|| {
        black_box(words.par_chunks(part).map(sum).reduce(|| 0, u64::wrapping_add));
    });
    (8 * words.len()) as f64 / seconds / 1e9
}

/// Additions per nanosecond to bins in the nearest cache, whose positions come from a register.
fn add(n: usize) -> f64 {
    let n_threads = rayon::current_num_threads();
    let run = |seed: usize| {
        let mut bins = [[0_u64; 256]; 8];
        let mut word = seed as u64 | 1;
        for _ in 0..n / 8 {
            word = word.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
            for (i, bins) in bins.iter_mut().enumerate() {
                let bin = &mut bins[((word >> (8 * i)) & 255) as usize];
                *bin = bin.wrapping_add(word);
            }
        }
        black_box(bins[0][0])
    };
    let seconds = best(|| {
        black_box((0..n_threads).into_par_iter().map(run).reduce(|| 0, u64::wrapping_add));
    });
    (n * n_threads) as f64 / seconds / 1e9
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let n_rows: usize = std::env::args().nth(1).map_or(Ok(2_000_000), |text| text.parse())?;
    let words = vec![1_u64; 1 << 26];
    let threads = std::thread::available_parallelism()?.get();
    for n_threads in [1, threads] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build()?;
        pool.install(|| {
            let (read, add) = (read(&words), add(1 << 26));
            println!("threads {n_threads}: read {read:.1} GB/s, add {add:.2} additions/ns");
            for every in [1, 10, 100] {
                let mut pass = HistogramPass::new(n_rows, FEATURES, every, 1);
                let seconds = best(|| pass.run());
                let (cells, bytes) = (pass.n_cells() as f64 / seconds / 1e9, pass.n_bytes() as f64 / seconds / 1e9);
                println!(
                    "  histogram of every {every:>3}. of {n_rows} rows x {FEATURES}: {:.3} ms, {cells:.2} additions/ns \
                     ({:.0} % of add), {bytes:.1} GB/s ({:.0} % of read)",
                    1e3 * seconds,
                    100.0 * cells / add,
                    100.0 * bytes / read
                );
            }
        });
    }
    Ok(())
}
