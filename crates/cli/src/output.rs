//! Writing files so that nobody ever sees half of one: to a sibling, then renamed.

use std::io::Write;
use std::path::Path;

use crate::failure::{Failure, Outcome};

/// Writes a file in one step: readers see the old content or the new.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write`], for content that is made while it is written.
pub(crate) fn write_with(path: &Path, content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Outcome {
    let refuse = |error: std::io::Error| Failure::Usage(anyhow::anyhow!("cannot write {}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".orderguard-").tempfile_in(folder).map_err(refuse)?;
    // Temporary files are private; the finished one has the usual rights.
    set_usual_rights(file.as_file()).map_err(refuse)?;
    {
        let mut buffered = std::io::BufWriter::with_capacity(1 << 16, file.as_file_mut());
        content(&mut buffered).map_err(refuse)?;
        buffered.flush().map_err(refuse)?;
    }
    file.as_file().sync_all().map_err(refuse)?;
    file.persist(path).map_err(|error| refuse(error.error))?;
    Ok(())
}

#[cfg(unix)]
fn set_usual_rights(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_usual_rights(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

/// Writes to standard output; a reader that went away (such as `head`) is no failure.
pub(crate) fn print(text: &str) -> Outcome {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// As [`print`], for content that is made while it is written.
pub(crate) fn print_with(content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Outcome {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match content(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Usage(anyhow::anyhow!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
