//! Where metrics go to.

use std::convert::Infallible;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::snapshot::MetricsSnapshot;
use super::telemetry::{Hub, Telemetry};
use crate::error::{complain, panic_text};
use crate::service::context::Context;
use crate::service::exit::Exit;
use crate::service::service::{Init, Next, Service};

/// Takes metrics to where somebody looks at them.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use underpin::telemetry::{Exporter, MetricsSnapshot, Telemetry};
///
/// struct Printing;
///
/// impl Exporter for Printing {
///     fn export(&mut self, metrics: &MetricsSnapshot) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///         println!("{}", metrics.to_prometheus());
///         Ok(())
///     }
/// }
///
/// let telemetry = Telemetry::builder().exporter("print", Duration::from_secs(10), || Printing).build();
/// ```
pub trait Exporter: Send + 'static {
    /// Takes all metrics. On a thread of its own, which nobody waits for but the stop of the tree, for 5 s.
    ///
    /// # Errors
    ///
    /// What it returns, and what it panics with, is counted and logged, once in a row; the next time it is called again.
    fn export(&mut self, metrics: &MetricsSnapshot) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// The thread of an exporter.
pub(crate) struct ExporterService {
    hub: Arc<Hub>,
    every: Duration,
    exporter: Box<dyn Exporter>,
    /// What went wrong last is not logged each time.
    is_failing: bool,
}

pub(crate) struct Due;

impl ExporterService {
    pub(crate) fn new(hub: Arc<Hub>, every: Duration, exporter: Box<dyn Exporter>) -> Self {
        Self { hub, every, exporter, is_failing: false }
    }

    fn export(&mut self) {
        let metrics = Telemetry(Arc::clone(&self.hub)).metrics("", &[]);
        // What it returns is the user's too: it is shown and dropped in here.
        let exporter = &mut self.exporter;
        let exported = move || exporter.export(&metrics).map_err(|fault| fault.to_string());
        let fault = match catch_unwind(AssertUnwindSafe(exported)) {
            Ok(outcome) => outcome.err(),
            Err(panic) => {
                self.hub.own.count_exporter_panic();
                Some(format!("it panicked: {}", panic_text(panic)))
            }
        };
        self.hub.own.count_export(fault.is_none());
        self.tell(fault);
    }

    fn tell(&mut self, fault: Option<String>) {
        let was_failing = std::mem::replace(&mut self.is_failing, fault.is_some());
        match fault {
            Some(fault) if !was_failing => complain(format_args!("metrics are not exported: {fault}")),
            None if was_failing => log::info!("metrics are exported again"),
            _ => {}
        }
    }
}

impl Service for ExporterService {
    type Msg = Due;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        cx.send_after(self.every, Due);
        Ok(Init::Ready)
    }

    fn handle(&mut self, Due: Due, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        self.export();
        cx.send_after(self.every, Due);
        Ok(Next::Continue)
    }

    /// What was counted since.
    fn terminate(&mut self, _: &Exit) {
        self.export();
    }

    fn label(_: &Due) -> &'static str {
        "export"
    }
}
