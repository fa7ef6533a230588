//! What every test uses: a fresh directory, the program, and small order tables.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Columns that give a model a few features of each kind and keep debug runs quick.
pub(crate) const NARROW: [&str; 9] = [
    "order_id",
    "order_time",
    "customer_id",
    "amount",
    "payment_method",
    "n_items",
    "session_seconds",
    "label",
    "label_time",
];

/// A directory of its own in which the program runs.
pub(crate) struct Place(TempDir);

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory can be made"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    /// Names of all files below a folder, hidden ones too; empty if the folder does not exist.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.path(folder)];
        while let Some(folder) = open.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries.map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    open.push(entry);
                } else {
                    found.push(entry.strip_prefix(self.0.path()).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }

    /// The program in this directory; arguments are split at white space.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orderguard"));
        command.args(args.split_whitespace());
        self.prepare(&mut command);
        command
    }

    /// A line for the shell, in which `$ORDERGUARD` is the program.
    pub(crate) fn shell(&self, line: &str) -> Run {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line);
        self.prepare(&mut command);
        finished(command.output().unwrap())
    }

    /// Nothing of the machine or of the terminal reaches a test.
    fn prepare(&self, command: &mut Command) {
        command.current_dir(self.0.path()).stdin(Stdio::null());
        for name in ["ORDERGUARD_KEY_FILE", "LANG", "LC_ALL", "LC_CTYPE", "COLUMNS", "NO_COLOR", "RAYON_NUM_THREADS"] {
            command.env_remove(name);
        }
        command.env("ORDERGUARD", env!("CARGO_BIN_EXE_orderguard"));
    }

    pub(crate) fn run(&self, args: &str) -> Run {
        finished(self.command(args).output().unwrap())
    }

    /// A run that must succeed.
    #[track_caller]
    pub(crate) fn ok(&self, args: &str) -> Run {
        let run = self.run(args);
        assert_eq!(run.code, Some(0), "orderguard {args}\n{}", run.err);
        run
    }

    /// A run that must fail with this exit code and say these things.
    #[track_caller]
    pub(crate) fn fails(&self, args: &str, code: i32, says: &[&str]) -> Run {
        let run = self.run(args);
        run.failed(code, says);
        run
    }

    pub(crate) fn run_with_input(&self, args: &str, input: &[u8]) -> Run {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        finished(output)
    }
}

impl Run {
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, says: &[&str]) {
        assert!(!self.err.contains("panicked") && !self.err.contains("RUST_BACKTRACE"), "{}", self.err);
        assert_eq!(self.code, Some(code), "{}", self.err);
        let last = self.err.lines().rfind(|line| line.starts_with("error: ")).unwrap_or_default();
        for words in says {
            assert!(self.err.contains(words), "expected {words:?} in: {}", self.err);
        }
        assert!(!last.is_empty(), "no line begins with `error: `: {}", self.err);
    }

    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        assert!(self.err.contains(words), "expected {words:?} in: {}", self.err);
    }

    /// The lines of a CSV, cut at commas.
    pub(crate) fn cells(&self) -> Vec<Vec<String>> {
        cells(&self.out)
    }
}

fn finished(output: Output) -> Run {
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

pub(crate) fn cells(csv: &str) -> Vec<Vec<String>> {
    csv.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// A header and rows of text.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// The program's own simulation, orders only, all their columns; their time is called `order_time`.
    pub(crate) fn simulated(n: usize, seed: u64) -> Self {
        let options = "--orders-only --one-currency --days 60 --fraud-share 6%";
        let run = Place::new().ok(&format!("simulate --orders {n} {options} --seed {seed}"));
        let mut reader = csv::Reader::from_reader(run.out.as_bytes());
        let header = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        Self { header, rows }.renamed("event_time", "order_time")
    }

    /// As [`Table::simulated`], with the columns [`NARROW`].
    pub(crate) fn narrow(n: usize) -> Self {
        Self::simulated(n, 7).select(&NARROW)
    }

    pub(crate) fn column(&self, name: &str) -> usize {
        self.header.iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"))
    }

    pub(crate) fn select(&self, names: &[&str]) -> Self {
        let columns: Vec<usize> = names.iter().map(|name| self.column(name)).collect();
        let pick = |row: &Vec<String>| columns.iter().map(|&column| row[column].clone()).collect();
        Self { header: pick(&self.header), rows: self.rows.iter().map(pick).collect() }
    }

    pub(crate) fn without(&self, names: &[&str]) -> Self {
        let kept: Vec<&str> = self.header.iter().map(String::as_str).filter(|name| !names.contains(name)).collect();
        self.select(&kept)
    }

    pub(crate) fn part(&self, rows: std::ops::Range<usize>) -> Self {
        Self { header: self.header.clone(), rows: self.rows[rows].to_vec() }
    }

    /// The rows in another order, the same one in every run.
    pub(crate) fn shuffled(&self) -> Self {
        let mut rows = self.rows.clone();
        let mut state = 88_172_645_463_325_252_u64;
        for i in (1..rows.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            rows.swap(i, (state % (i as u64 + 1)) as usize);
        }
        Self { header: self.header.clone(), rows }
    }

    /// With one more column.
    pub(crate) fn with(&self, name: &str, value: impl Fn(usize, &[String]) -> String) -> Self {
        let mut table = self.clone();
        table.header.push(name.to_owned());
        for (i, row) in table.rows.iter_mut().enumerate() {
            row.push(value(i, row));
        }
        table
    }

    pub(crate) fn renamed(&self, from: &str, to: &str) -> Self {
        let mut table = self.clone();
        let column = table.column(from);
        to.clone_into(&mut table.header[column]);
        table
    }

    pub(crate) fn csv(&self) -> String {
        self.delimited(b',')
    }

    pub(crate) fn delimited(&self, delimiter: u8) -> String {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(&self.header).unwrap();
        for row in &self.rows {
            writer.write_record(row).unwrap();
        }
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    /// One object per row; numbers as numbers where `numbers` names the column, empty cells as `null`.
    pub(crate) fn json_lines(&self, numbers: &[&str]) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let members = self.header.iter().zip(row).map(|(name, cell)| {
                let value = match cell.as_str() {
                    "" => "null".to_owned(),
                    cell if numbers.contains(&name.as_str()) => cell.to_owned(),
                    cell => serde_json::to_string(cell).unwrap(),
                };
                format!("{}: {value}", serde_json::to_string(name).unwrap())
            });
            text.extend(["{", &members.collect::<Vec<_>>().join(", "), "}\n"]);
        }
        text
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// A folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
