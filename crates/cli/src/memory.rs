//! How much memory there is to work with, and how much disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use orderguard_dataset::scratch::Scratch;
use orderguard_dataset::split::Split;
use orderguard_trainer::need::{self, FitSize};

use crate::args::{LearningArgs, MemoryArgs, ModelKind, TrainArgs};
use crate::failure::{Failure, Outcome, usage};
use crate::learner::{checked_params, learned_from};
use crate::search::N_FOLDS;

/// Bytes that a logistic regression takes for one value.
const LOGISTIC_CELL_BYTES: u64 = 16;

/// The share of the machine's memory that is used where nobody says otherwise.
const DEFAULT_SHARE: u64 = 2;

/// Bytes that a run may take; `None` where neither the user nor the system tells.
pub(crate) fn limit(args: &MemoryArgs) -> Option<u64> {
    args.max_memory.or_else(|| machine_bytes().map(|bytes| bytes / DEFAULT_SHARE))
}

/// Memory of the machine, where the system tells.
fn machine_bytes() -> Option<u64> {
    let facts = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = facts.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// What a fit takes: foreseen, so that it is refused before hours are spent and not ended by the system after.
pub(crate) struct Need {
    matrix: u64,
    fit: u64,
}

impl Need {
    /// For `n_orders` rows of `n_features`, divided into `parts`, with all that `args` want to be done with them.
    pub(crate) fn new(
        args: &TrainArgs,
        options: &LearningArgs,
        parts: &Split,
        n_features: usize,
        n_orders: usize,
    ) -> Self {
        let n_fraud = parts.train_label.iter().map(|&label| usize::from(label == 1)).sum();
        let folds = parts.train_fold.as_ref().map_or(1, |folds| {
            let mut seen = [false; 256];
            for &fold in folds {
                seen[usize::from(fold)] = true;
            }
            seen.iter().filter(|&&seen| seen).count()
        });
        let size = FitSize {
            n_train: learned_from(options, n_fraud, parts.train.len()),
            n_held: parts.validation.len(),
            n_features,
            n_fits: folds,
            n_threads: rayon::current_num_threads(),
        };
        let fit = match options.model() {
            ModelKind::Gbt => checked_params(options).map_or(0, |params| {
                let n_train = learned_from(options, n_fraud, n_orders);
                let on_all = FitSize { n_train, n_held: 0, n_fits: 1, ..size };
                let searches = args.budget.is_some() || args.trials.is_some();
                let search = if searches { need::search_bytes(&params, size, N_FOLDS as usize) } else { 0 };
                let refit = if args.refit { need::bytes(&params, on_all) } else { 0 };
                need::bytes(&params, size).max(refit).max(search)
            }),
            // Standardised columns, a missing and a first-seen flag of each.
            ModelKind::Logistic | ModelKind::Scorecard => (parts.train.len() * n_features) as u64 * LOGISTIC_CELL_BYTES,
        };
        Self { matrix: (n_orders * n_features * size_of::<f32>()) as u64, fit }
    }

    pub(crate) fn fit_bytes(&self) -> u64 {
        self.fit
    }

    /// Refuses a fit that would take more than there is; `with_matrix` before the features are computed. What history
    /// remembers is not foreseen, but seen once it is there.
    pub(crate) fn check(&self, with_matrix: bool, max_memory: Option<u64>) -> Outcome {
        let Some(limit) = max_memory.or_else(machine_bytes) else { return Ok(()) };
        let taken = rss_bytes().unwrap_or(0);
        let matrix = if with_matrix { self.matrix } else { 0 };
        let sum = taken + matrix + self.fit;
        if sum <= limit {
            return Ok(());
        }
        let features = if with_matrix { format!(", {} for features", bytes_text(matrix)) } else { String::new() };
        usage(format_args!(
            "the fit would take about {} of memory ({} so far{features}, {} to learn): expected at most {}, {}; a smaller \
             --negative-rate, or fewer features or orders, take less",
            bytes_text(sum),
            bytes_text(taken),
            bytes_text(self.fit),
            bytes_text(limit),
            if max_memory.is_some() { "as --max-memory says" } else { "which is all that the machine has" }
        ))
    }
}

/// Memory that the program holds, where the system tells.
fn rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// The folder for temporary files.
pub(crate) fn temp_folder(args: &MemoryArgs) -> PathBuf {
    args.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
}

/// A temporary file in the folder. It has no name there: the system gives its space back when the program ends, however it ends.
pub(crate) fn scratch(folder: &Path) -> Outcome<Scratch> {
    let cannot = |error| Failure::Usage(anyhow::anyhow!("cannot write to {}: {error}", folder.display()));
    let file: File = tempfile::tempfile_in(folder).map_err(cannot)?;
    Ok(Scratch::new(file))
}

/// Free bytes in a folder, where the system tells.
#[cfg(unix)]
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(folder).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

/// Free bytes in a folder, where the system tells.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// Refuses work that needs more disk than there is.
pub(crate) fn check_space(folder: &Path, needed: u64) -> Outcome<Option<u64>> {
    let free = free_bytes(folder);
    match free {
        Some(free) if free < needed => usage(format_args!(
            "{} has {} free, and the rows take about {} there while they are sorted: expected a folder with more space, \
             which --temp-dir names, or rows that are in order of time in their files",
            folder.display(),
            bytes_text(free),
            bytes_text(needed)
        )),
        free => Ok(free),
    }
}

/// A number of bytes in words.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// Reads a size such as `4G`, `150MB` or `1.5 GiB`; units are powers of 1,024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 4G or 500M".to_owned();
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let unit = match unit {
        "" | "b" => 1_u64,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * unit as f64;
    if bytes >= 1.0 && bytes <= 2_f64.powi(62) { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4G"), Ok(4 << 30));
        assert_eq!(parse_size("150 MB"), Ok(150 << 20));
        assert_eq!(parse_size("1.5KiB"), Ok(1_536));
        assert_eq!(parse_size("17"), Ok(17));
        for wrong in ["", "G", "-1G", "4X", "1e9", "0", "99999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes_text(3 << 29), "1.5 GB");
        assert_eq!(bytes_text(12), "12 bytes");
    }
}
