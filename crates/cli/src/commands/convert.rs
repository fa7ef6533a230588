//! `orderguard convert`: another library's model as a model file of ours.

use std::path::Path;

use orderguard_inference::import::lightgbm;
use orderguard_inference::rows::RowModel;

use crate::args::{ConvertArgs, Library};
use crate::console::{Console, printable};
use crate::failure::{Blame, Outcome, data};
use crate::{input, output};

pub(crate) fn run(args: &ConvertArgs, console: &Console) -> Outcome {
    let model = read(args.from, &args.model)?;
    let bytes = model.to_bytes().bad_data()?;
    output::write(&args.output, &bytes)?;
    let Some(last) = model.names.len().checked_sub(1) else { return Ok(()) };
    console.note(&printable(&format!(
        "{}: {} trees over {} values, from {} to {}; it takes rows by name and holds no features of orders",
        args.output.display(),
        model.forest.trees.len(),
        model.names.len(),
        model.names[0],
        model.names[last]
    )));
    Ok(())
}

fn read(library: Library, path: &Path) -> Outcome<RowModel> {
    let found = match library {
        Library::Lightgbm => lightgbm::read(&input::read(path, lightgbm::MAX_TEXT_LEN as u64)?),
    };
    found.or_else(|error| data(format_args!("{}: {error}", path.display())))
}
