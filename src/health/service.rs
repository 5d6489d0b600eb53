//! The health service: the one thread that looks, and tells.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::board::Board;
use super::outlook::Outlook;
use crate::service::context::Context;
use crate::service::service::{Init, Next, Service};
use crate::sync::mutant;

/// The service of a monitor, as [`HealthMonitor::supervisor`](super::HealthMonitor::supervisor) describes it.
///
/// It keeps nothing that the next life would miss.
pub(crate) struct HealthService {
    board: Arc<Board>,
    tick: Duration,
}

/// What is said to a [`HealthService`].
#[derive(Debug)]
pub(crate) struct HealthRequest(pub(crate) Order);

#[derive(Debug)]
pub(crate) enum Order {
    /// It is time: look at the checks and at the metrics.
    Tick,
    /// A check has answered: look at the checks.
    Look,
}

impl HealthService {
    pub(crate) fn new(board: Arc<Board>, tick: Duration) -> Self {
        Self { board, tick }
    }

    /// A tick later, or when something is to change before that.
    fn tick_later(&self, cx: &mut Context<Self>) {
        let now = cx.now();
        let change = self.board.see(Outlook::next_deadline).filter(|change| *change > now);
        let tick = now.checked_add(self.tick).or(change);
        if let Some(due) = tick {
            cx.send_at(change.map_or(due, |change| change.min(due)), HealthRequest(Order::Tick));
        }
    }
}

impl Service for HealthService {
    type Msg = HealthRequest;
    type Error = Infallible;

    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        self.board.begin(cx.epoch(), cx.now());
        cx.send_after(Duration::ZERO, HealthRequest(Order::Tick));
        Ok(Init::Ready)
    }

    fn handle(
        &mut self,
        HealthRequest(order): HealthRequest,
        cx: &mut Context<Self>,
    ) -> Result<Next, Infallible> {
        match order {
            Order::Tick => {
                self.board.follow_rules(cx.epoch(), cx.now());
                self.board.turn(cx.epoch(), cx.now(), true);
                self.tick_later(cx);
            }
            Order::Look if mutant!(HeedLate) => {
                self.board.turn(cx.epoch(), cx.now(), false);
                self.board.heed();
            }
            Order::Look => {
                self.board.heed();
                self.board.turn(cx.epoch(), cx.now(), false);
            }
        }
        Ok(Next::Continue)
    }

    fn label(HealthRequest(order): &HealthRequest) -> &'static str {
        match order {
            Order::Tick => "tick",
            Order::Look => "look",
        }
    }
}
