//! No file that is read is written over, and no two outputs are one file: asked before anything is opened.
//!
//! What a command changes by its nature may be named twice: the history that `score` goes on from, the model whose words or tiers
//! are set, and the files of an earlier run in the folder that `train` writes.

use std::path::{Path, PathBuf};

use orderguard_evaluation::html::CHART_IDS;

use crate::args::{Command, DataArgs, HistoryArgs, RowsArgs, TableArgs};
use crate::failure::{Outcome, usage};

/// Options and the paths given to them.
#[derive(Default)]
struct Files<'a> {
    inputs: Vec<(&'static str, &'a Path)>,
    outputs: Vec<(&'static str, PathBuf)>,
}

/// Refuses a command line that would lose a file.
pub(crate) fn check(command: &Command) -> Outcome {
    let files = Files::of(command);
    let inputs: Vec<_> = files.inputs.iter().map(|(option, path)| (*option, *path, place(path))).collect();
    let mut written: Vec<(&str, PathBuf)> = Vec::new();
    for (option, path) in &files.outputs {
        if path == Path::new("-") {
            return usage(format_args!("{option}: expected a file, found - (a file of that name is ./-)"));
        }
        let target = place(path);
        // A device or a pipe takes what it is given, and nothing is lost.
        if std::fs::metadata(&target).is_ok_and(|facts| !facts.is_file() && !facts.is_dir()) {
            continue;
        }
        for (of, input, read) in &inputs {
            // Of a folder the files right in it are read; what a run before left there was its own.
            let is_within = *option != "--out" && read.is_dir() && target.parent() == Some(read) && target.is_file();
            if target == *read || is_within {
                let what = if is_within { "a file in the folder" } else { "the file" };
                return usage(format_args!(
                    "{option} {}: would overwrite {what} that {of} reads, {}: give another name",
                    path.display(),
                    input.display()
                ));
            }
        }
        if let Some((other, _)) = written.iter().find(|(_, other)| *other == target) {
            return usage(format_args!("{option} {}: {other} writes the same file: give another name", path.display()));
        }
        written.push((option, target));
    }
    Ok(())
}

/// Where a path leads: links are followed; of a file that is not there yet, those of its folder.
fn place(path: &Path) -> PathBuf {
    let here = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    std::fs::canonicalize(path).unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            std::fs::canonicalize(folder).unwrap_or_else(|_| here(folder)).join(name)
        }
        _ => here(path),
    })
}

impl<'a> Files<'a> {
    fn of(command: &'a Command) -> Self {
        let mut files = Self::default();
        match command {
            Command::Train(args) => {
                files.data(&args.data);
                files.tables(&args.tables);
                files.read("--labels", args.labels.as_deref());
                files.read("--costs", args.report.costs.as_deref());
                files.read("--key-file", args.key_file.as_deref());
                // Files that an earlier run wrote, and that this one may write anew in their folder.
                let own = [
                    ("--schema", &args.schema),
                    ("--features", &args.features),
                    ("--params", &args.params),
                    ("--continue-from", &args.continue_from),
                    ("--refit-leaves", &args.refit_leaves),
                ];
                for (option, path) in own {
                    files.read(option, path.as_deref().filter(|path| !lies_in(path, &args.out)));
                }
                if !args.compare {
                    for name in TRAINED {
                        files.outputs.push(("--out", args.out.join(name)));
                    }
                }
                files.write("--log-json", args.log_json.as_deref().filter(|path| *path != Path::new("-")));
            }
            // Nothing is written; but for `state forget`, which changes the state in its place.
            Command::Evaluate(_)
            | Command::Compare(_)
            | Command::VerifyLog(_)
            | Command::Inspect(_)
            | Command::State(_) => {}
            Command::Report(args) => {
                files.read("REPORT", Some(&args.report));
                files.write("--html", args.html.as_deref());
                let folder = args.charts.iter();
                let charts = folder.flat_map(|folder| CHART_IDS.iter().map(|id| folder.join(id).with_extension("svg")));
                files.outputs.extend(charts.map(|path| ("--charts", path)));
            }
            Command::Score(args) => {
                files.read("--model", Some(&args.model));
                files.data(&args.data);
                files.history(&args.history, args.save_state.as_deref());
                files.tables(&args.tables);
                files.read("--labels", args.labels.as_deref());
                files.read("--shadow", args.shadow.as_deref());
                files.read("--rules", args.rules.as_deref());
                files.write("--save-state", args.save_state.as_deref());
                files.write("--output", args.output.as_deref().filter(|path| *path != Path::new("-")));
                files.write("--audit", args.audit.as_deref().filter(|path| *path != Path::new("-")));
            }
            Command::Threshold(args) => {
                if !args.in_place {
                    files.read("--model", Some(&args.model));
                }
                files.data(&args.data);
                files.history(&args.history, None);
                files.tables(&args.tables);
                files.read("--labels", args.labels.as_deref());
                files.read("--costs", args.costs.as_deref());
                files.write("--output", args.output.as_deref());
                files.write("--in-place", args.in_place.then_some(args.model.as_path()));
            }
            Command::Explain(args) => {
                files.read("--model", Some(&args.model));
                files.data(&args.data);
                files.history(&args.history, None);
                files.tables(&args.tables);
                files.read("--labels", args.labels.as_deref());
                files.read("--rules", args.rules.as_deref());
                files.write("--svg", args.svg.as_deref());
            }
            Command::Monitor(args) => {
                files.read("--model", Some(&args.model));
                files.data(&args.data);
                files.history(&args.history, None);
                files.tables(&args.tables);
                files.read("--labels", args.labels.as_deref());
                files.write("--svg", args.svg.as_deref());
            }
            Command::Reasons(args) => {
                files.read("--set", args.set.as_deref());
                if args.set.is_some() {
                    files.write("--output", Some(args.output.as_deref().unwrap_or(&args.model)));
                }
            }
            Command::Tiers(args) => files.write("--output", args.output.as_deref()),
            Command::Schema(args) => {
                files.data(&args.data);
                files.write("--output", Some(&args.output));
            }
            Command::Features(args) => {
                files.rows(&args.rows, args.save_state.as_deref());
                files.write("--output", args.output.as_deref());
                files.write("--save-state", args.save_state.as_deref());
                files.write("--write-features", args.write_features.as_deref());
            }
            Command::ReplayCheck(args) => files.rows(&args.rows, None),
            Command::Convert(args) => {
                files.read("MODEL", Some(&args.model));
                files.write("--output", Some(&args.output));
            }
            Command::Export(args) => {
                files.read("MODEL", Some(&args.model));
                files.write("--output", Some(&args.output));
            }
            Command::Simulate(args) => {
                files.write("--output", args.output.as_deref());
                files.write("--events", args.events.as_deref());
            }
        }
        files
    }

    fn read(&mut self, option: &'static str, path: Option<&'a Path>) {
        self.inputs.extend(path.filter(|path| *path != Path::new("-")).map(|path| (option, path)));
    }

    fn write(&mut self, option: &'static str, path: Option<&Path>) {
        self.outputs.extend(path.map(|path| (option, path.to_owned())));
    }

    fn data(&mut self, args: &'a DataArgs) {
        for path in &args.data {
            self.read("--data", Some(path));
        }
        for file in &args.events {
            self.read("--events", Some(&file.path));
        }
    }

    /// `saved` may be the history itself, which then goes on.
    fn history(&mut self, args: &'a HistoryArgs, saved: Option<&Path>) {
        let state = args.state.as_deref().filter(|state| saved.is_none_or(|saved| place(saved) != place(state)));
        self.read("--state", state);
        for path in &args.history {
            self.read("--history", Some(path));
        }
        self.read("--key-file", args.key_file.as_deref());
    }

    fn tables(&mut self, args: &'a TableArgs) {
        self.read("--geo", args.geo.as_deref());
        self.read("--bins", args.bins.as_deref());
        self.read("--free-domains", args.free_domains.as_deref());
        self.read("--disposable-domains", args.disposable_domains.as_deref());
    }

    fn rows(&mut self, args: &'a RowsArgs, saved: Option<&Path>) {
        self.data(&args.data);
        self.history(&args.history, saved);
        self.tables(&args.tables);
        self.read("--labels", args.labels.as_deref());
        self.read("--schema", args.schema.as_deref());
        self.read("--features", args.features.as_deref());
        self.read("--model", args.model.as_deref());
    }
}

/// What `train` writes to its folder.
const TRAINED: [&str; 10] = [
    "model.ogm",
    "state.ogs",
    "report.json",
    "report.html",
    "schema.toml",
    "features.toml",
    "params.toml",
    "search.jsonl",
    "scorecard.txt",
    "model-refit.ogm",
];

fn lies_in(path: &Path, folder: &Path) -> bool {
    place(path).parent() == Some(&place(folder))
}
