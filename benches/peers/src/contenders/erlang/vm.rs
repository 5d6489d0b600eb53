//! The Erlang virtual machine, a process of its own that does as it is told, line by line.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::time::ClockId;
use nix::unistd::Pid;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/contenders/erlang/contender.erl");

/// One scheduler: nobody is woken. And heaps of 800 KB from the start: the mailbox of a sink is part of
/// its heap. Together the fastest for casts and restarts, and as fast as any for calls.
const FLAGS: [&str; 4] = ["+S", "1", "+hms", "100000"];

/// A running machine. It ends when it is dropped.
pub struct Vm {
    child: Mutex<Child>,
    pid: Pid,
    orders: Mutex<Option<ChildStdin>>,
    /// Where the answers for each client go.
    clients: Arc<Mutex<Vec<Sender<String>>>>,
}

impl Vm {
    /// Starts a machine that compiles the source and then offers an operation.
    pub fn start(operation: &str) -> Self {
        let program = format!(
            "{{ok, contender, Code}} = compile:file({SOURCE:?}, [binary, report]), \
             {{module, contender}} = code:load_binary(contender, {SOURCE:?}, Code), contender:main({operation})."
        );
        let mut child = machine(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("erl");
        let orders = Mutex::new(child.stdin.take());
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut ready = String::new();
        answers.read_line(&mut ready).expect("it is text");
        assert_eq!(ready, "ready\n", "the source compiles and starts");
        let clients = Arc::default();
        let vm = Self { pid: pid(&child), child: Mutex::new(child), orders, clients };
        let clients = Arc::clone(&vm.clients);
        thread::spawn(move || dispatch(answers, &clients));
        vm
    }

    /// A new client: its number, and what it is answered.
    pub fn client(&self) -> (usize, Receiver<String>) {
        let (sender, answers) = unbounded();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.push(sender);
        (clients.len() - 1, answers)
    }

    /// Gives an order to the machine.
    pub fn order(&self, order: &str) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = orders.as_mut().expect("it is open until the end");
        pipe.write_all(order.as_bytes()).expect("the machine lives");
    }

    /// The CPU time that it has taken.
    pub fn cpu(&self) -> Duration {
        let clock = ClockId::pid_cpu_clock_id(self.pid).expect("the machine lives");
        clock.now().expect("it is a clock").into()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.orders.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        let _ = self.child.get_mut().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().expect("a process has a small number"))
}

fn machine(program: &str) -> Command {
    let mut machine = Command::new("erl");
    machine.args(FLAGS).args(["-noshell", "-eval", program]).env("ERL_CRASH_DUMP_BYTES", "0");
    machine
}

/// Hands out the lines that begin with the number of a client.
fn dispatch(answers: BufReader<ChildStdout>, clients: &Mutex<Vec<Sender<String>>>) {
    for line in answers.lines().map_while(Result::ok) {
        let (client, answer) = line.split_once(' ').unwrap_or((&line, ""));
        let client: usize = client.parse().expect("an answer names its client");
        let clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = clients[client].send(answer.into());
    }
    // No more answers: who waits for one shall know.
    clients.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Why there is no machine here, if there is none.
pub fn missing() -> Option<&'static str> {
    static FOUND: OnceLock<bool> = OnceLock::new();
    let has_compiler = "halt(case code:which(compile) of non_existing -> 1; _ -> 0 end).";
    let look = || machine(has_compiler).stdin(Stdio::null()).status().is_ok_and(|status| status.success());
    (!FOUND.get_or_init(look)).then_some("erl is not installed")
}
