//! Writing files so that nobody ever sees half of one, nor half of a run: to siblings, then renamed; and printing.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, LineStyle, Table, TableStyle};
use tempfile::{NamedTempFile, TempPath};

use crate::console::report_style;
use crate::failure::{Failure, Outcome};

/// Files that are complete but not yet seen under their names. Dropped without [`Staged::publish`], they are gone.
#[derive(Default)]
pub(crate) struct Staged(Vec<(TempPath, PathBuf)>);

impl Staged {
    /// Adds a file.
    pub(crate) fn add(&mut self, path: &Path, bytes: &[u8]) -> Outcome {
        self.add_with(path, |file| file.write_all(bytes))
    }

    /// As [`Staged::add`], for content that is made while it is written. Links are followed; what is neither a file nor a
    /// folder (a device, a pipe) takes the content at once.
    pub(crate) fn add_with(
        &mut self,
        path: &Path,
        content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> Outcome {
        self.stage(path, content).map_err(|error| cannot_write(path, &error))
    }

    /// As [`Staged::add`], for content that needs a file of its own while it is made, of which it is given the path.
    pub(crate) fn add_made(&mut self, path: &Path, make: impl FnOnce(&Path) -> Outcome) -> Outcome {
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let file = sibling(&target).map_err(|error| cannot_write(path, &error))?.into_temp_path();
        make(&file)?;
        self.0.push((file, target));
        Ok(())
    }

    fn stage(
        &mut self,
        path: &Path,
        content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
    ) -> io::Result<()> {
        // A rename replaces a link, and a device, by a file: what it leads to is meant.
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match std::fs::metadata(&target) {
            Ok(facts) if facts.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(facts) if !facts.is_file() => {
                let mut device = io::BufWriter::new(std::fs::OpenOptions::new().write(true).open(&target)?);
                content(&mut device)?;
                return device.flush();
            }
            _ => {}
        }
        let mut file = sibling(&target)?;
        {
            let mut buffered = io::BufWriter::with_capacity(1 << 16, file.as_file_mut());
            content(&mut buffered)?;
            buffered.flush()?;
        }
        file.as_file().sync_all()?;
        self.0.push((file.into_temp_path(), target));
        Ok(())
    }

    /// Gives the files their names, in the order in which they were added; each replaces the old one in one step.
    pub(crate) fn publish(self) -> Outcome {
        self.0
            .into_iter()
            .try_for_each(|(file, path)| file.persist(&path).map_err(|error| cannot_write(&path, &error.error)))
    }
}

/// How the names of files begin that are still being written.
pub(crate) const UNFINISHED: &str = ".orderguard-";

/// A temporary file in the folder of another one.
fn sibling(target: &Path) -> io::Result<NamedTempFile> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // Temporary files are private; the finished one has the rights that the user's mask gives to new files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

/// Writes a file in one step: readers see the old content or the new.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write()`], for content that is made while it is written.
pub(crate) fn write_with(path: &Path, content: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Outcome {
    let mut staged = Staged::default();
    staged.add_with(path, content)?;
    staged.publish()
}

/// Removes a file if it is there.
pub(crate) fn remove(path: &Path) -> Outcome {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cannot_write(path, &error)),
        _ => Ok(()),
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::Usage(anyhow::anyhow!("cannot write {}: {error}", path.display()))
}

/// Writes to standard output; a reader that went away (such as `head`) is no failure.
pub(crate) fn print(text: &str) -> Outcome {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// As [`print()`], for content that is made while it is written.
pub(crate) fn print_with(content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Outcome {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match content(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Usage(anyhow::anyhow!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A table that fits the terminal, cells wrapped.
pub(crate) fn table(header: &[&str], rows: Vec<Vec<String>>) -> Table {
    let style = report_style();
    let line = if style.ascii { '-' } else { '─' };
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill(line).junction(line)));
    table.force_no_tty().set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(style.width.clamp(60, 160)).unwrap_or(100));
    table.set_header(header.iter().map(|cell| (*cell).to_owned()));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Its lines.
pub(crate) fn table_text(table: &Table) -> String {
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}
