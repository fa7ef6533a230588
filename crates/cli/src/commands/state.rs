//! `orderguard state`: how much a history holds, what it holds about somebody, and its erasure.

use comfy_table::CellAlignment;
use orderguard_features::extract::Extractor;
use orderguard_features::state::State;
use orderguard_features::subject::{Forgotten, Sizes, Subject};
use serde_json::json;

use crate::args::{
    StateArgs, StateCommand, StateExportArgs, StateFileArgs, StateForgetArgs, StateShowArgs, SubjectArg,
};
use crate::console::{Console, printable};
use crate::failure::{Blame, Outcome};
use crate::output::Staged;
use crate::{model_data, output, state_file};

pub(crate) fn run(args: &StateArgs, console: &Console) -> Outcome {
    match &args.command {
        StateCommand::Show(args) => show(args),
        StateCommand::Export(args) => export(args),
        StateCommand::Forget(args) => forget(args, console),
    }
}

fn load(args: &StateFileArgs) -> Outcome<(Extractor, State)> {
    let extractor = model_data::compile(&args.model, args.key_file.as_deref(), &args.tables)?.extractor;
    let state = state_file::read(&args.file, &extractor)?;
    Ok((extractor, state))
}

fn subject(extractor: &Extractor, arg: &SubjectArg) -> Outcome<Subject> {
    extractor.subject(&arg.entity, &arg.id).bad_usage()
}

fn show(args: &StateShowArgs) -> Outcome {
    let (extractor, state) = load(&args.state)?;
    let sizes = state.sizes(&extractor);
    if args.json {
        let mut value = serde_json::to_value(&sizes).bad_data()?;
        value["bytes"] = sizes.bytes().into();
        return output::print(&format!("{value:#}\n"));
    }
    output::print(&printable(&page(&sizes, &state)))
}

fn page(sizes: &Sizes, state: &State) -> String {
    let position = state.position();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |what: &str, n: u64, bytes: u64| rows.push(vec![what.to_owned(), n.to_string(), bytes.to_string()]);
    for entity in &sizes.entities {
        row(&entity.entity, entity.n, entity.bytes);
    }
    row("orders that may still take a label", sizes.n_orders, sizes.order_bytes);
    row("ids of events, to recognise repeated ones", sizes.n_event_ids, sizes.event_id_bytes);
    row("network: accounts and what links them", sizes.n_accounts + sizes.n_things, sizes.network_bytes);
    row("in all", 0, sizes.bytes());
    if let Some(last) = rows.last_mut() {
        last[1].clear();
    }
    let known = position.known_at.map_or("nothing yet".into(), |time| format!("what was known at {time}"));
    let mut table = output::table(&["history of", "number", "bytes in memory"], rows);
    table.column_mut(1).expect("three columns").set_cell_alignment(CellAlignment::Right);
    table.column_mut(2).expect("three columns").set_cell_alignment(CellAlignment::Right);
    format!(
        "{} orders, {} other events and {} labels learned, up to {known}\n\n{}",
        position.n_orders,
        position.n_events,
        position.n_labels,
        output::table_text(&table)
    )
}

fn export(args: &StateExportArgs) -> Outcome {
    let (extractor, state) = load(&args.state)?;
    let export = state.export(&extractor, &subject(&extractor, &args.subject)?);
    let text = serde_json::to_string_pretty(&export).bad_data()?;
    output::print(&(text + "\n"))
}

fn forget(args: &StateForgetArgs, console: &Console) -> Outcome {
    let (extractor, mut state) = load(&args.state)?;
    let subjects: Vec<Subject> = args.subject.iter().map(|arg| subject(&extractor, arg)).collect::<Outcome<_>>()?;
    let forgotten: Vec<Forgotten> = subjects.iter().map(|subject| state.forget(&extractor, subject)).collect();
    let is_any = forgotten.iter().any(|forgotten| *forgotten != Forgotten::default());
    if is_any {
        let mut files = Staged::default();
        state_file::stage(&args.state.file, &state, &extractor, &mut files)?;
        files.publish()?;
    }
    if args.json {
        let removed: Vec<_> = args
            .subject
            .iter()
            .zip(&forgotten)
            .map(|(arg, forgotten)| json!({"entity": arg.entity, "removed": forgotten}))
            .collect();
        output::print(&format!("{:#}\n", serde_json::Value::Array(removed)))?;
    } else {
        // The identifier is not repeated: what is printed here may end up in a log.
        let words: String = args.subject.iter().zip(&forgotten).map(|(arg, forgotten)| words(arg, forgotten)).collect();
        output::print(&printable(&words))?;
    }
    if is_any {
        console.note(&format!(
            "written to {}; copies, files of orders and models are not touched, and a history that is computed from those \
             files again knows the subject again",
            args.state.file.display()
        ));
    }
    Ok(())
}

fn words(arg: &SubjectArg, forgotten: &Forgotten) -> String {
    if *forgotten == Forgotten::default() {
        return format!("{}: nothing is held\n", arg.entity);
    }
    let network = if forgotten.in_network { ", its place in the network" } else { "" };
    format!(
        "{}: removed {} histories, the key in {} orders{network}\n",
        arg.entity, forgotten.n_histories, forgotten.n_orders
    )
}
