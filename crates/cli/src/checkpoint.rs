//! Fits in progress on disk, so that a program that is killed loses the last rounds and no more.
//!
//! One file per stage of a fit in a folder of its own, replaced as a whole: whoever reads one finds the old content or the new.
//! A checkpoint belongs to one fit: same program, data, options. Another one is refused.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orderguard_features::container::{Container, ContainerError, ContainerWriter, SectionReader, Tag};
use orderguard_features::matrix::Matrix;
use orderguard_inference::model::{Node, Tree};
use orderguard_trainer::snapshot::{Snapshot, SnapshotFit};

use crate::failure::{Failure, Outcome, data, usage};
use crate::{input, output};

const KIND: [u8; 3] = *b"OGC";
const FORMAT_VERSION: u16 = 0;
/// Which fit it belongs to: 32 bytes.
const OWNER: Tag = *b"ownr";
const METRICS: Tag = *b"metr";
const TREES: Tag = *b"tree";
/// The largest checkpoint that is read.
const MAX_BYTES: u64 = 1 << 32;
const EXTENSION: &str = "ogc";
/// A checkpoint may take this share of the time between two, however often they are asked for.
const MAX_SHARE: u32 = 20;

/// The folder, and how often it is written to.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    every: Duration,
    owner: [u8; 32],
    resume: bool,
    last: Cell<Instant>,
    took: Cell<Duration>,
}

impl Checkpoints {
    /// Makes the folder. Without `resume`, what an earlier fit left in it is removed.
    pub(crate) fn open(folder: &Path, every: Duration, owner: [u8; 32], resume: bool) -> Outcome<Self> {
        let cannot = |error| Failure::Usage(anyhow::anyhow!("cannot make folder {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(cannot)?;
        let checkpoints = Self {
            folder: folder.to_owned(),
            every,
            owner,
            resume,
            last: Cell::new(Instant::now()),
            took: Cell::new(Duration::ZERO),
        };
        if !resume {
            checkpoints.remove()?;
        }
        Ok(checkpoints)
    }

    /// Whether it is time for the next.
    pub(crate) fn is_due(&self) -> bool {
        let since = self.last.get().elapsed();
        since >= self.every && (self.every.is_zero() || since >= self.took.get() * MAX_SHARE)
    }

    /// Writes the checkpoint of a stage in place of the one before.
    pub(crate) fn save(&self, stage: &str, snapshot: &Snapshot) -> Outcome {
        let start = Instant::now();
        output::write(&self.path(stage), &encode(snapshot, self.owner))?;
        self.took.set(start.elapsed());
        self.last.set(Instant::now());
        Ok(())
    }

    /// The checkpoint of a stage, where there is one and it is wanted.
    pub(crate) fn load(&self, stage: &str) -> Outcome<Option<Snapshot>> {
        let path = self.path(stage);
        if !self.resume || !path.exists() {
            return Ok(None);
        }
        let bytes = input::read(&path, MAX_BYTES)?;
        match decode(&bytes) {
            Err(error) => data(format_args!("{}: {error}", path.display())),
            Ok((owner, _)) if owner != self.owner => usage(format_args!(
                "{}: expected a checkpoint of this fit, found one of other data, options or program; without --resume the fit \
                 begins anew and replaces it",
                path.display()
            )),
            Ok((_, snapshot)) => Ok(Some(snapshot)),
        }
    }

    /// Removes all checkpoints.
    pub(crate) fn remove(&self) -> Outcome {
        let cannot = |error| Failure::Usage(anyhow::anyhow!("cannot read {}: {error}", self.folder.display()));
        for entry in std::fs::read_dir(&self.folder).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            // What a killed program was just writing has no name of its own yet.
            let unfinished =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(output::UNFINISHED));
            if unfinished || path.extension().is_some_and(|extension| extension == EXTENSION) {
                output::remove(&path)?;
            }
        }
        Ok(())
    }

    fn path(&self, stage: &str) -> PathBuf {
        self.folder.join(format!("{stage}.{EXTENSION}"))
    }
}

/// Hashes what a fit depends on.
#[derive(Default)]
pub(crate) struct Owner(blake3::Hasher);

impl Owner {
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    pub(crate) fn matrix(mut self, matrix: &Matrix) -> Self {
        let mut bytes = Vec::new();
        for column in 0..matrix.n_features() {
            for values in matrix.column(column).chunks(1 << 14) {
                bytes.clear();
                bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
                self.0.update(&bytes);
            }
        }
        self
    }

    pub(crate) fn part(mut self, rows: &[u32], labels: &[u8]) -> Self {
        self.0.update(&(rows.len() as u64).to_le_bytes());
        for rows in rows.chunks(1 << 14) {
            let bytes: Vec<u8> = rows.iter().flat_map(|row| row.to_le_bytes()).collect();
            self.0.update(&bytes);
        }
        self.0.update(labels);
        self
    }

    pub(crate) fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

fn encode(snapshot: &Snapshot, owner: [u8; 32]) -> Vec<u8> {
    let mut metrics = Vec::new();
    for metric in &snapshot.metrics {
        metrics.push(u8::from(metric.is_some()));
        metrics.extend(metric.unwrap_or(0.0).to_le_bytes());
    }
    let mut trees = Vec::new();
    trees.extend((snapshot.fits.len() as u32).to_le_bytes());
    for fit in &snapshot.fits {
        trees.extend((fit.trees.len() as u32).to_le_bytes());
        for (tree, gains) in fit.trees.iter().zip(&fit.gains) {
            encode_tree(tree, &mut trees);
            trees.extend((gains.len() as u32).to_le_bytes());
            for (feature, gain) in gains {
                trees.extend(feature.to_le_bytes());
                trees.extend(gain.to_le_bytes());
            }
        }
    }
    ContainerWriter::new(KIND, FORMAT_VERSION, 0)
        .section(OWNER, true, owner.to_vec())
        .section(METRICS, true, metrics)
        .section(TREES, true, trees)
        .finish()
}

fn encode_tree(tree: &Tree, out: &mut Vec<u8>) {
    out.extend((tree.nodes.len() as u32).to_le_bytes());
    for node in &tree.nodes {
        let (flags, feature, value, left, right) = match *node {
            Node::Leaf { value } => (0, 0, value.to_le_bytes(), 0, 0),
            Node::Numeric { feature, threshold, missing_left, left, right } => {
                (1 | u8::from(missing_left) << 2, feature, threshold.to_le_bytes(), left, right)
            }
            Node::Categorical { feature, level_set, missing_left, left, right } => {
                (2 | u8::from(missing_left) << 2, feature, level_set.to_le_bytes(), left, right)
            }
        };
        out.push(flags);
        out.extend(feature.to_le_bytes());
        out.extend(value);
        out.extend(left.to_le_bytes());
        out.extend(right.to_le_bytes());
    }
    out.extend((tree.level_sets.len() as u32).to_le_bytes());
    out.extend(tree.level_sets.iter().flatten().flat_map(|word| word.to_le_bytes()));
}

/// The owner of a checkpoint, and its content. What trees mean is checked where a fit goes on from them.
fn decode(bytes: &[u8]) -> Result<([u8; 32], Snapshot), ContainerError> {
    let file = Container::parse(bytes, KIND, FORMAT_VERSION, MAX_BYTES as usize)?;
    file.refuse_unknown(&[OWNER, METRICS, TREES])?;
    let mut reader = file.reader(OWNER)?;
    let owner = reader.array()?;
    reader.finish()?;
    let mut snapshot = Snapshot::default();
    let mut reader = file.reader(METRICS)?;
    while reader.remaining() > 0 {
        let is_some = reader.u8()? == 1;
        let metric = f64::from_le_bytes(reader.array()?);
        snapshot.metrics.push(is_some.then_some(metric));
    }
    let mut reader = file.reader(TREES)?;
    for _ in 0..reader.u32()? {
        let mut fit = SnapshotFit::default();
        for _ in 0..reader.u32()? {
            fit.trees.push(decode_tree(&mut reader)?);
            let n = reader.u32()? as usize;
            let gains = reader.take_elements(n, 12)?;
            fit.gains.push(gains.map(decode_gain).collect());
        }
        snapshot.fits.push(fit);
    }
    reader.finish()?;
    Ok((owner, snapshot))
}

fn decode_gain(bytes: &[u8]) -> (u32, f64) {
    let (feature, gain) = bytes.split_at(4);
    let feature = feature.try_into().map_or(0, u32::from_le_bytes);
    (feature, gain.try_into().map_or(0.0, f64::from_le_bytes))
}

fn decode_tree(reader: &mut SectionReader<'_>) -> Result<Tree, ContainerError> {
    let mut tree = Tree::default();
    for _ in 0..reader.u32()? {
        let flags = reader.u8()?;
        let feature = reader.u32()?;
        let value: [u8; 4] = reader.array()?;
        let (left, right) = (reader.u32()?, reader.u32()?);
        let missing_left = flags & 4 != 0;
        tree.nodes.push(match flags & 3 {
            1 => Node::Numeric { feature, threshold: f32::from_le_bytes(value), missing_left, left, right },
            2 => Node::Categorical { feature, level_set: u32::from_le_bytes(value), missing_left, left, right },
            _ => Node::Leaf { value: i32::from_le_bytes(value) },
        });
    }
    for _ in 0..reader.u32()? {
        tree.level_sets.push([reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?]);
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        let nodes = vec![
            Node::Categorical { feature: 3, level_set: 0, missing_left: true, left: 1, right: 2 },
            Node::Leaf { value: -5 },
            Node::Numeric { feature: 1, threshold: 0.25, missing_left: false, left: 3, right: 4 },
            Node::Leaf { value: i32::MAX },
            Node::Leaf { value: 0 },
        ];
        let tree = Tree { nodes, level_sets: vec![[1, 2, 3, u64::MAX]] };
        let fit = SnapshotFit { trees: vec![tree.clone(), tree], gains: vec![vec![(3, 2.5), (1, 0.1)], vec![]] };
        Snapshot { metrics: vec![Some(0.5), None], fits: vec![fit, SnapshotFit::default()] }
    }

    #[test]
    fn reads_back_as_written() {
        let bytes = encode(&snapshot(), [7; 32]);
        assert_eq!(decode(&bytes), Ok(([7; 32], snapshot())));
    }

    #[test]
    fn every_broken_byte_is_noticed() {
        let bytes = encode(&snapshot(), [7; 32]);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            assert!(decode(&broken).is_err(), "byte {at}");
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_folder_keeps_stages_apart_and_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let open = |owner, resume| Checkpoints::open(folder.path(), Duration::ZERO, owner, resume).unwrap();
        open([1; 32], false).save("boosting-1", &snapshot()).unwrap();
        assert_eq!(open([1; 32], true).load("boosting-1").unwrap(), Some(snapshot()));
        assert_eq!(open([1; 32], true).load("boosting-2").unwrap(), None);
        assert!(open([2; 32], true).load("boosting-1").unwrap_err().to_string().contains("found one of other data"));
        assert_eq!(open([1; 32], false).load("boosting-1").unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
