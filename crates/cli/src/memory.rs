//! How much memory there is to work with, and how much disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use orderguard_dataset::scratch::Scratch;

use crate::args::MemoryArgs;
use crate::failure::{Failure, Outcome, usage};

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
