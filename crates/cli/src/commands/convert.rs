//! `orderguard convert`: another library's model as a model file of ours.

use orderguard_inference::import::xgboost::Rounds;
use orderguard_inference::import::{lightgbm, xgboost};
use orderguard_inference::rows::RowModel;

use crate::args::{ConvertArgs, Library};
use crate::console::{Console, printable};
use crate::failure::{Blame, Outcome, data, usage};
use crate::{input, output};

pub(crate) fn run(args: &ConvertArgs, console: &Console) -> Outcome {
    let model = read(args)?;
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

fn read(args: &ConvertArgs) -> Outcome<RowModel> {
    let path = &args.model;
    let found = match args.from {
        Library::Lightgbm if args.all_rounds => {
            return usage("--all-rounds is for xgboost: a LightGBM text has the rounds that its writer chose");
        }
        Library::Lightgbm => lightgbm::read(&input::read(path, lightgbm::MAX_TEXT_LEN as u64)?),
        Library::Xgboost => {
            let rounds = if args.all_rounds { Rounds::All } else { Rounds::Best };
            xgboost::read(&input::read(path, xgboost::MAX_TEXT_LEN as u64)?, rounds)
        }
    };
    found.or_else(|error| data(format_args!("{}: {error}", path.display())))
}
