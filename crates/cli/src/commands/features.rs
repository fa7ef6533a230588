//! `orderguard features`: the feature row of every order as a table, and the features in words.

use std::io;

use indicatif::ProgressBar;
use orderguard_features::language::catalogue::Off;
use orderguard_features::language::explain::{Explained, explain_all};
use orderguard_features::language::file::FeatureFile;
use orderguard_features::schema::Schema;
use serde_json::json;

use crate::args::FeaturesArgs;
use crate::console::{Console, printable};
use crate::failure::{Blame, Failure, Outcome};
use crate::ingest::Orders;
use crate::output::{self, Staged};
use crate::rows::{self, Prepared, Wanted};
use crate::streamed::{self, Stream};
use crate::table_file::{Format, Header, TableWriter};
use crate::{key, model_data, state_file};

pub(crate) fn run(args: &FeaturesArgs, console: &Console) -> Outcome {
    let format = args.output.as_deref().map(Format::of).transpose()?;
    // Who asks only for words gets no table on the terminal.
    let computes =
        args.output.is_some() || args.save_state.is_some() || !(args.explain || args.write_features.is_some());
    let opened = rows::open(&args.rows, computes, console)?;
    if let Some(survey) = streamed::too_large(&opened, &args.rows, console)? {
        return streamed::with_stream(opened, &survey, &args.rows, console, |stream, mut wanted, schema| {
            let mut files = Staged::default();
            write_features(args, &wanted, &mut files)?;
            if computes {
                compute_streamed(args, format, stream, schema, &mut wanted, &mut files, console)?;
            }
            finish(args, &wanted, files, console)
        });
    }
    let Prepared { orders, mut wanted } = rows::prepare(opened, &args.rows, console)?;
    let mut files = Staged::default();
    write_features(args, &wanted, &mut files)?;
    if computes {
        compute(args, format, &orders, &mut wanted, &mut files, console)?;
    }
    finish(args, &wanted, files, console)
}

fn write_features(args: &FeaturesArgs, wanted: &Wanted, files: &mut Staged) -> Outcome {
    match &args.write_features {
        Some(path) => files.add(path, FeatureFile::from_spec(&wanted.spec).to_toml().as_bytes()),
        None => Ok(()),
    }
}

fn finish(args: &FeaturesArgs, wanted: &Wanted, files: Staged, console: &Console) -> Outcome {
    files.publish()?;
    if let Some(path) = &args.write_features {
        console.note(&format!("written to {}; edit it and give it with --features", path.display()));
    }
    if args.explain {
        output::print(&explain(args, wanted)?)?;
    }
    Ok(())
}

fn compute(
    args: &FeaturesArgs,
    format: Option<Format>,
    orders: &Orders,
    wanted: &mut Wanted,
    files: &mut Staged,
    console: &Console,
) -> Outcome {
    let Wanted { spec, extractor, state, .. } = wanted;
    let matrix = model_data::replay_onto(extractor, orders, state, console)?;
    let header = Header::of(orders, &spec.names());
    // As in `score`: a full disk never leaves a history that went on without its rows.
    stage_state(args, wanted, files, console)?;
    let bar = console.steps_bar("writing");
    bar.set_length(matrix.n_rows() as u64);
    write_table(args, format, &header, files, |table| table.add(orders, &matrix, &bar).map_err(Stop::Write))?;
    bar.finish_and_clear();
    Ok(())
}

/// The same chunk by chunk: each is written before the next one is read.
fn compute_streamed(
    args: &FeaturesArgs,
    format: Option<Format>,
    stream: &Stream<'_>,
    schema: &Schema,
    wanted: &mut Wanted,
    files: &mut Staged,
    console: &Console,
) -> Outcome {
    let Wanted { spec, extractor, state, .. } = wanted;
    let header = Header::new(schema, stream.has_ids(), stream.has_label(), &spec.names());
    let bar = ProgressBar::hidden();
    write_table(args, format, &header, files, |table| {
        let mut stop = None;
        let replayed = stream.replay(schema, extractor, state, console, |orders, matrix| {
            table.add(orders, matrix, &bar).map_err(|error| {
                let failure = Failure::Usage(anyhow::anyhow!("{error}"));
                stop = Some(error);
                failure
            })
        });
        match (replayed, stop) {
            (_, Some(error)) => Err(Stop::Write(error)),
            (Err(failure), None) => Err(Stop::Compute(failure)),
            (Ok(_), None) => Ok(()),
        }
    })?;
    stage_state(args, wanted, files, console)
}

/// Why a table is not finished.
enum Stop {
    Write(io::Error),
    Compute(Failure),
}

/// Writes the table to where it is wanted, if it is; `fill` adds its rows.
fn write_table(
    args: &FeaturesArgs,
    format: Option<Format>,
    header: &Header,
    files: &mut Staged,
    fill: impl FnOnce(&mut TableWriter<'_>) -> Result<(), Stop>,
) -> Outcome {
    let mut failure = None;
    let mut filled = |table: io::Result<TableWriter<'_>>,
                      fill: &mut dyn FnMut(&mut TableWriter<'_>) -> Result<(), Stop>| {
        let mut table = table?;
        match fill(&mut table) {
            Ok(()) => table.finish(),
            Err(Stop::Write(error)) => Err(error),
            Err(Stop::Compute(found)) => {
                failure = Some(found);
                Err(io::Error::other("stopped"))
            }
        }
    };
    let mut fill = Some(fill);
    let mut fill = |table: &mut TableWriter<'_>| fill.take().map_or(Ok(()), |fill| fill(table));
    let outcome = if let (Some(path), Some(format)) = (&args.output, format) {
        files.add_with(path, |file| filled(TableWriter::new(header, format, file), &mut fill))
    } else if !args.explain && args.write_features.is_none() {
        output::print_with(|out| filled(TableWriter::csv(header, out), &mut fill))
    } else {
        filled(TableWriter::csv(header, &mut io::sink()), &mut fill).bad_usage()
    };
    failure.map_or(outcome, Err)
}

fn stage_state(args: &FeaturesArgs, wanted: &Wanted, files: &mut Staged, console: &Console) -> Outcome {
    let Some(path) = &args.save_state else { return Ok(()) };
    state_file::stage(path, &wanted.state, &wanted.extractor, files)?;
    if args.rows.history.key_file.is_none() && wanted.extractor.uses_history() {
        console.note(key::PUBLIC_KEY_NOTE);
    }
    Ok(())
}

/// The features in words, and those that are switched off.
fn explain(args: &FeaturesArgs, wanted: &Wanted) -> Outcome<String> {
    let extractor = &wanted.extractor;
    let present = extractor.tables().present();
    let explained = explain_all(extractor.schema(), present, &wanted.spec.features).bad_data()?;
    if args.json {
        let features: Vec<_> = explained
            .iter()
            .map(|e| json!({"feature": e.feature, "meaning": e.sentence, "columns": e.columns}))
            .collect();
        let off: Vec<_> = wanted
            .off
            .iter()
            .map(|off| json!({"what": off.what, "why": off.why, "needs": off.needs, "features": off.features}))
            .collect();
        return Ok(format!("{:#}\n", json!({"features": features, "off": off})));
    }
    Ok(printable(&page(&explained, &wanted.off)))
}

fn page(explained: &[Explained], off: &[Off]) -> String {
    let mut text = format!("{} features\n", explained.len());
    let rows = explained.iter().map(|e| vec![e.feature.clone(), e.sentence.clone(), e.columns.join(", ")]);
    text += &tabled(&["feature", "what it says of an order", "columns"], rows.collect());
    if off.is_empty() {
        return text;
    }
    let n_off: usize = off.iter().map(|off| off.features.len()).sum();
    text.extend(["\nSwitched off: ", &n_off.to_string(), " default features\n"]);
    let rows =
        off.iter().map(|off| vec![off.what.clone(), off.why.clone(), off.needs.clone(), off.features.join("\n")]);
    text += &tabled(&["what for", "off because", "what would switch it on", "such as"], rows.collect());
    text
}

fn tabled(header: &[&str], rows: Vec<Vec<String>>) -> String {
    output::table_text(&output::table(header, rows))
}
