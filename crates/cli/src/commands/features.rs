//! `orderguard features`: the feature row of every order as a table, and the features in words.

use orderguard_features::language::catalogue::Off;
use orderguard_features::language::explain::{Explained, explain_all};
use orderguard_features::language::file::FeatureFile;
use serde_json::json;

use crate::args::FeaturesArgs;
use crate::console::{Console, printable};
use crate::failure::{Blame, Outcome};
use crate::output::{self, Staged};
use crate::rows::{Prepared, prepare};
use crate::table_file::{Format, Rows};
use crate::{key, model_data, state_file};

pub(crate) fn run(args: &FeaturesArgs, console: &Console) -> Outcome {
    let format = args.output.as_deref().map(Format::of).transpose()?;
    // Who asks only for words gets no table on the terminal.
    let computes =
        args.output.is_some() || args.save_state.is_some() || !(args.explain || args.write_features.is_some());
    let mut prepared = prepare(&args.rows, computes, console)?;
    let mut files = Staged::default();
    if let Some(path) = &args.write_features {
        files.add(path, FeatureFile::from_spec(&prepared.spec).to_toml().as_bytes())?;
    }
    if computes {
        compute(args, format, &mut prepared, &mut files, console)?;
    }
    files.publish()?;
    if let Some(path) = &args.write_features {
        console.note(&format!("written to {}; edit it and give it with --features", path.display()));
    }
    if args.explain {
        output::print(&explain(args, &prepared)?)?;
    }
    Ok(())
}

fn compute(
    args: &FeaturesArgs,
    format: Option<Format>,
    prepared: &mut Prepared,
    files: &mut Staged,
    console: &Console,
) -> Outcome {
    let Prepared { orders, spec, extractor, state, .. } = prepared;
    let matrix = model_data::replay_onto(extractor, orders, state, console)?;
    let rows = Rows::new(orders, &matrix, &spec.names());
    // As in `score`: a full disk never leaves a history that went on without its rows.
    if let Some(path) = &args.save_state {
        state_file::stage(path, state, extractor, files)?;
    }
    let bar = console.steps_bar("writing");
    if let (Some(path), Some(format)) = (&args.output, format) {
        files.add_with(path, |file| rows.write(format, &bar, file))?;
    } else if !args.explain && args.write_features.is_none() {
        output::print_with(|out| rows.write_csv(&bar, out))?;
    }
    bar.finish_and_clear();
    if args.rows.history.key_file.is_none() && args.save_state.is_some() && extractor.uses_history() {
        console.note(key::PUBLIC_KEY_NOTE);
    }
    Ok(())
}

/// The features in words, and those that are switched off.
fn explain(args: &FeaturesArgs, prepared: &Prepared) -> Outcome<String> {
    let extractor = &prepared.extractor;
    let present = extractor.tables().present();
    let explained = explain_all(extractor.schema(), present, &prepared.spec.features).bad_data()?;
    if args.json {
        let features: Vec<_> = explained
            .iter()
            .map(|e| json!({"feature": e.feature, "meaning": e.sentence, "columns": e.columns}))
            .collect();
        let off: Vec<_> = prepared
            .off
            .iter()
            .map(|off| json!({"what": off.what, "why": off.why, "needs": off.needs, "features": off.features}))
            .collect();
        return Ok(format!("{:#}\n", json!({"features": features, "off": off})));
    }
    Ok(printable(&page(&explained, &prepared.off)))
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
