//! The cookbook: how things are put together here, chapter by chapter, in plain words.
//!
//! The reference says what each item does; these pages say which one to take, what it costs, and where
//! its limits are. There is no code in this module.
//!
//! 1. [`supervision`]: strategies, start order, intensity and backoff, trees, factories, what is lost.
//! 2. [`operation`]: the running tree. Threads that hang, changes without an end, shutdown, and how
//!    to read what a tree shows of itself.
//! 3. [`capacities`]: how long a queue may be, and what becomes of one message more;
//!    dead letters, partitions.
//! 4. [`calls`]: deadlines that are inherited, answers that come later, cycles.
//! 5. [`testing`]: clocks, probes, crashes, simulations and models for programs built on this crate.
//! 6. [`patterns`]: what works well, and what does not.
//! 7. [`settings`]: layers, reads, updates, files that change, sections.
//! 8. [`events`]: storing, bounds and losses, queries, subscriptions, the journal, state from events.
//! 9. [`telemetry`]: counting, limits, exporters, handlers, spans.
//! 10. [`health`]: checks, modes, alerts.
//! 11. [`resilience`]: what an error means, policies, which part for what.
//! 12. [`tasks`]: pools, waiting, too much, the end.

#[doc = include_str!("calls.md")]
pub mod calls {}

#[doc = include_str!("capacities.md")]
pub mod capacities {}

#[doc = include_str!("operation.md")]
pub mod operation {}

#[doc = include_str!("patterns.md")]
pub mod patterns {}

#[doc = include_str!("supervision.md")]
pub mod supervision {}

#[cfg_attr(feature = "testing", doc = include_str!("testing.md"))]
#[cfg_attr(not(feature = "testing"), doc = "Testing: this chapter is there with the feature `testing`.")]
pub mod testing {}

#[cfg_attr(feature = "config", doc = include_str!("settings.md"))]
#[cfg_attr(not(feature = "config"), doc = "Settings: this chapter is there with the feature `config`.")]
pub mod settings {}

#[cfg_attr(all(feature = "journal", feature = "foundation", feature = "config"), doc = include_str!("events.md"))]
#[cfg_attr(
    not(all(feature = "journal", feature = "foundation", feature = "config")),
    doc = "Events: this chapter is there with the features `journal`, `foundation` and `config`."
)]
pub mod events {}

#[cfg_attr(all(feature = "telemetry", feature = "foundation"), doc = include_str!("telemetry.md"))]
#[cfg_attr(
    not(all(feature = "telemetry", feature = "foundation")),
    doc = "Telemetry: this chapter is there with the features `telemetry` and `foundation`."
)]
pub mod telemetry {}

#[cfg_attr(all(feature = "health", feature = "foundation", feature = "config", feature = "events"), doc = include_str!("health.md"))]
#[cfg_attr(
    not(all(feature = "health", feature = "foundation", feature = "config", feature = "events")),
    doc = "Health: this chapter is there with the features `health`, `foundation`, `config` and `events`."
)]
pub mod health {}

#[cfg_attr(
    all(feature = "resilience", feature = "foundation", feature = "config", feature = "events"),
    doc = include_str!("resilience.md")
)]
#[cfg_attr(
    not(all(feature = "resilience", feature = "foundation", feature = "config", feature = "events")),
    doc = "Resilience: this chapter is there with the features `resilience`, `foundation`, `config` and `events`."
)]
pub mod resilience {}

#[cfg_attr(all(feature = "tasks", feature = "foundation"), doc = include_str!("tasks.md"))]
#[cfg_attr(
    not(all(feature = "tasks", feature = "foundation")),
    doc = "Tasks: this chapter is there with the features `tasks` and `foundation`."
)]
pub mod tasks {}
