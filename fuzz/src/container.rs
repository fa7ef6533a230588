//! Changes inside of container files that keep the layout and the checksum right, so that what is behind them is reached.

use libfuzzer_sys::fuzzer_mutate;
use orderguard_features::container::{Container, ContainerWriter, Kind, Tag};
use orderguard_features::schema::Schema;

/// Bytes by which one step may make a section longer.
const GROWTH: usize = 256;

/// One step of the mutator on a file of that kind: mostly a change of one section, sometimes of the whole file with the checksum
/// set right, seldom of the whole file and nothing else.
pub fn mutate(kind: Kind, data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed % 16 != 0
        && let Some(changed) = change_section(kind, &data[..size], seed / 16)
        && changed.len() <= max_size.min(data.len())
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    let size = fuzzer_mutate(data, size, max_size);
    if seed % 64 != 0 {
        seal(&mut data[..size]);
    }
    size
}

fn change_section(kind: Kind, file: &[u8], seed: u32) -> Option<Vec<u8>> {
    let container = Container::parse(file, kind, u16::MAX, usize::MAX).ok()?;
    let sections = container.sections();
    let chosen = seed as usize % sections.len().max(1);
    let mut fingerprint = container.fingerprint();
    let mut changed: Vec<(Tag, bool, Vec<u8>)> = Vec::new();
    for (at, section) in sections.iter().enumerate() {
        let mut bytes = section.bytes.to_vec();
        if at == chosen {
            let len = bytes.len();
            bytes.resize(len + GROWTH, 0);
            let longest = bytes.len();
            let len = fuzzer_mutate(&mut bytes, len, longest);
            bytes.truncate(len);
            if section.tag == *b"schm"
                && let Some(schema) = std::str::from_utf8(&bytes).ok().and_then(|text| Schema::from_toml(text).ok())
            {
                fingerprint = schema.fingerprint();
            }
        }
        changed.push((section.tag, section.required, bytes));
    }
    let writer = ContainerWriter::new(kind, container.format_version(), fingerprint);
    let file = changed.into_iter().fold(writer, |writer, (tag, required, bytes)| writer.section(tag, required, bytes));
    Some(file.finish())
}

/// Sets the length and the checksum to what they must be.
fn seal(file: &mut [u8]) {
    if file.len() < 64 {
        return;
    }
    let len = file.len() as u64;
    file[24..32].copy_from_slice(&len.to_le_bytes());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&file[..32]).update(&file[64..]);
    file[32..64].copy_from_slice(hasher.finalize().as_bytes());
}
