//! How a run ends.

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    Failed,
    Panicked,
    Shed,
    Limited,
    Full,
    Open,
    Stopped,
    TimedOut,
}

impl End {
    /// How many there are.
    pub(super) const COUNT: usize = 9;

    /// The kind of the event that tells of it, and the name of its count.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Shed => "shed",
            Self::Limited => "limited",
            Self::Full => "full",
            Self::Open => "open",
            Self::Stopped => "stopped",
            Self::TimedOut => "timed_out",
        }
    }
}
