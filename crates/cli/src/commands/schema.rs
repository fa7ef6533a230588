//! `orderguard schema`: shows and writes what the columns are taken for.

use orderguard_evaluation::terminal::schema_table;

use crate::args::SchemaArgs;
use crate::console::{Console, report_style};
use crate::failure::{Outcome, usage};
use crate::{ingest, measure, output};

pub(crate) fn run(args: &SchemaArgs, console: &Console) -> Outcome {
    if args.output.exists() && !args.force {
        return usage(format_args!(
            "{} is there already; --force replaces it, -o names another file",
            args.output.display()
        ));
    }
    let sources = ingest::open(&args.data.data, &args.data.events, args.data.delimiter)?;
    // A label is not needed to describe columns: `score` and history files have none.
    let proposal =
        ingest::propose(&sources, &args.options, args.options.label.is_some(), args.data.max_rejected, console)?;
    output::print(&schema_table(&measure::proposal_section(&proposal), &report_style()))?;
    for note in &proposal.notes {
        console.note(&note.to_string());
    }
    let schema = ingest::with_kinds(proposal.schema, &args.data.events);
    output::write(&args.output, schema.to_toml().as_bytes())?;
    console.note(&format!("written to {}; edit it and give it to train with --schema", args.output.display()));
    Ok(())
}
