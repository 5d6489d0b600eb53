//! Acknowledgements: tells clients how many of their lines are durable.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use underpin::{ChildSpec, Context, Exit, Init, Next, Overflow, Service, child};

use crate::board::Board;
use crate::client::Client;

/// When a client that did not read is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// One message says that somebody is listed, however many are.
const QUEUE: usize = 8;

/// What it is told.
#[derive(Debug)]
pub(crate) enum Msg {
    /// Somebody is on the board.
    Look,
    /// Try those again that did not read.
    Again,
}

/// Sends each client that is on the board the newest number. It waits for nobody: a client that does not
/// read has what it can take, and is tried again later.
pub(crate) struct Acks {
    board: Board,
    slow: Vec<Arc<Client>>,
    comes_back: bool,
}

/// Describes who tells the clients on this board. It starts before the store and stops after it, so that
/// what becomes durable last is told too.
pub(crate) fn spec(board: &Board) -> ChildSpec<Acks> {
    let of_it = board.clone();
    let spec = child("acks", move || Acks { board: of_it.clone(), slow: Vec::new(), comes_back: false })
        .capacity(QUEUE)
        .overflow(Overflow::Reject);
    board.employ(spec.handle());
    spec
}

impl Acks {
    fn tell_all(&mut self) {
        while let Some(client) = self.board.next() {
            self.tell(client);
        }
    }

    fn tell(&mut self, client: Arc<Client>) {
        if client.tell() {
            self.slow.push(client);
        }
    }

    fn tell_the_slow(&mut self) {
        let slow = std::mem::take(&mut self.slow);
        slow.into_iter().for_each(|client| self.tell(client));
    }

    fn come_back(&mut self, cx: &mut Context<Self>) {
        if !self.slow.is_empty() && !std::mem::replace(&mut self.comes_back, true) {
            cx.send_after(AGAIN, Msg::Again);
        }
    }
}

impl Service for Acks {
    type Msg = Msg;
    type Error = Infallible;

    /// What was listed while it was down has woken nobody.
    fn init(&mut self, cx: &mut Context<Self>) -> Result<Init, Infallible> {
        cx.send_after(Duration::ZERO, Msg::Look);
        Ok(Init::Ready)
    }

    fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<Next, Infallible> {
        match msg {
            Msg::Look => {}
            Msg::Again => {
                self.comes_back = false;
                self.tell_the_slow();
            }
        }
        self.tell_all();
        self.come_back(cx);
        Ok(Next::Continue)
    }

    fn terminate(&mut self, _: &Exit) {
        self.tell_the_slow();
        self.tell_all();
    }

    fn label(msg: &Msg) -> &'static str {
        match msg {
            Msg::Look => "look",
            Msg::Again => "again",
        }
    }
}
