//! `orderguard export`: a model for other programs.

use orderguard_inference::export::{json, onnx};
use orderguard_inference::format::MAX_FILE_LEN;
use orderguard_inference::model::Model;
use orderguard_inference::rows::RowModel;

use crate::args::{ExportArgs, ExportForm};
use crate::console::{Console, printable};
use crate::failure::{Blame, Failure, Outcome};
use crate::{input, output};

pub(crate) fn run(args: &ExportArgs, console: &Console) -> Outcome {
    let bytes = input::read(&args.model, MAX_FILE_LEN as u64)?;
    let refused = |error: &dyn std::fmt::Display| Failure::Data(anyhow::anyhow!("{}: {error}", args.model.display()));
    let (file, n_values) = if RowModel::is_one(&bytes) {
        let model = RowModel::from_bytes(&bytes).map_err(|error| refused(&error))?;
        let file = match args.to {
            ExportForm::Onnx => onnx::of_rows(&model).bad_data()?,
            ExportForm::Json => json::of_rows(&model).into_bytes(),
        };
        (file, model.names.len())
    } else {
        let model = Model::from_bytes(&bytes).map_err(|error| refused(&error))?;
        let file = match args.to {
            ExportForm::Onnx => onnx::of_model(&model).bad_data()?,
            ExportForm::Json => json::of_model(&model).into_bytes(),
        };
        (file, model.spec.len())
    };
    output::write(&args.output, &file)?;
    console.note(&printable(&match args.to {
        ExportForm::Onnx => format!("{}: takes rows of {n_values} features, not orders", args.output.display()),
        ExportForm::Json => format!("{}: {n_values} features", args.output.display()),
    }));
    Ok(())
}
