//! What has come of all that was executed.

/// What has come of all that was executed, from the beginning on.
///
/// Each figure is exact; they may be of slightly different moments while others execute. At rest,
/// `queued = delivered + discarded + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DispatchCounts {
    /// Executions that handlers were told of.
    pub executed: u64,
    /// Executions that were more than the limit of their name.
    pub limited: u64,
    /// Executions under a name that is none, while any handler was attached.
    pub misnamed: u64,
    /// Executions in handlers of executions in handlers, and so on, that were too deep.
    pub too_deep: u64,
    /// How often a handler panicked.
    pub panicked: u64,
    /// Handlers that were detached since they panicked.
    pub detached: u64,
    /// Words of spans that were one too many.
    pub words_left_out: u64,
    /// Executions that were put into the queue of the telemetry's thread.
    pub queued: u64,
    /// Executions that were taken out of it for their handlers.
    pub delivered: u64,
    /// Executions that were left out since it filled.
    pub sampled: u64,
    /// Executions that were left out since it was full.
    pub dropped: u64,
    /// Executions that were in it at the end.
    pub discarded: u64,
    /// Executions that were put into it with less than was given: of what is too many or too long.
    pub cut: u64,
    /// Executions that are in it.
    pub waiting: usize,
}
