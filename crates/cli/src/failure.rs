//! Why the program stopped, and the exit code that says so: 1 bad data, 2 usage or input and output,
//! 3 drift where that was to fail, or a new model that is not to be promoted.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// A reason to stop.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The content of a file is at fault.
    Data(anyhow::Error),
    /// What was typed, or the machine, is at fault.
    Usage(anyhow::Error),
    /// Nothing is at fault, but orders have drifted from those of training.
    Drift(anyhow::Error),
    /// Nothing is at fault, but a new model did not prove good enough to take the place of the old one.
    Kept(anyhow::Error),
}

/// What every command returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Data(_) => 1,
            Self::Usage(_) => 2,
            Self::Drift(_) | Self::Kept(_) => 3,
        })
    }

    /// The same, of a file that another one names.
    pub(crate) fn in_file(self, path: &Path) -> Self {
        let name = |error: anyhow::Error| anyhow::anyhow!("{}: {error}", path.display());
        match self {
            Self::Data(error) => Self::Data(name(error)),
            Self::Usage(error) => Self::Usage(name(error)),
            Self::Drift(error) => Self::Drift(name(error)),
            Self::Kept(error) => Self::Kept(name(error)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Data(error) | Self::Usage(error) | Self::Drift(error) | Self::Kept(error)) = self;
        // Errors here say all in their own line; a source repeats it.
        write!(f, "{error}")
    }
}

/// Says on whose side an error lies.
pub(crate) trait Blame<T> {
    /// The data are at fault.
    fn bad_data(self) -> Outcome<T>;
    /// The command line or the machine is.
    fn bad_usage(self) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn bad_data(self) -> Outcome<T> {
        self.map_err(|error| Failure::Data(error.into()))
    }

    fn bad_usage(self) -> Outcome<T> {
        self.map_err(|error| Failure::Usage(error.into()))
    }
}

/// A usage failure in words.
pub(crate) fn usage<T>(message: impl fmt::Display) -> Outcome<T> {
    Err(Failure::Usage(anyhow::anyhow!("{message}")))
}

/// A data failure in words.
pub(crate) fn data<T>(message: impl fmt::Display) -> Outcome<T> {
    Err(Failure::Data(anyhow::anyhow!("{message}")))
}
