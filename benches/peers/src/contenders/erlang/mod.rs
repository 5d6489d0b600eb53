//! Erlang/OTP: `gen_server` and `supervisor`, in a virtual machine of its own. See `contender.erl`.

mod vm;

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::{Arena, Bout, Ground};
use vm::Vm;

pub use vm::missing;

/// A machine that offers an operation.
struct Machine(Arc<Vm>);

impl Ground for Machine {
    fn client(&self) -> Box<dyn Bout> {
        let (number, answers) = self.0.client();
        Box::new(Client { vm: Arc::clone(&self.0), number, answers })
    }

    fn cpu_elsewhere(&self) -> Duration {
        self.0.cpu()
    }
}

/// A client is a process of the machine for each batch.
struct Client {
    vm: Arc<Vm>,
    number: usize,
    answers: Receiver<String>,
}

impl Client {
    fn batch(&self, how: &str, n: u64) -> String {
        self.vm.order(&format!("{} {how} {n}\n", self.number));
        self.answers.recv().expect("the machine lives")
    }
}

impl Bout for Client {
    fn run(&mut self, n: u64) {
        self.batch("run", n);
    }

    /// Without pauses: the work of other processes is not the machine's.
    fn each(&mut self, n: u64, _: fn()) -> Vec<f64> {
        let latencies = self.batch("each", n);
        latencies.split(' ').map(|latency| latency.parse().expect("a number")).collect()
    }
}

fn machine(operation: &str) -> Arena {
    Box::new(Machine(Arc::new(Vm::start(operation))))
}

/// A call: `gen_server:call`, without a time-out.
pub fn calls() -> Arena {
    machine("call")
}

/// Casts: `gen_server:cast`; a mailbox has no bound.
pub fn sink() -> Arena {
    machine("cast")
}

/// A crash, and the first call that the replacement serves.
pub fn restarts() -> Arena {
    machine("restart")
}
